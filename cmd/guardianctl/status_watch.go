package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/client"
)

const (
	// shortestPause between two looks keeps a typing error from being a load.
	shortestPause = 100 * time.Millisecond
	// watchPatience is how long a look waits for the silent, without --timeout.
	watchPatience = 3 * time.Second
	// eraseScreen moves to the top and erases all (ECMA-48: CUP, ED).
	eraseScreen = "\x1b[H\x1b[2J"
)

// noPause takes no argument, and says how the pause of --watch is given.
func (s *statusCommand) noPause(cmd *cobra.Command, args []string) error {
	if cmd.Flags().Changed("watch") && len(args) == 1 {
		if _, err := time.ParseDuration(args[0]); err == nil {
			return usageError("write --watch="+args[0], "the pause of --watch goes after an equals sign")
		}
	}
	return takes(0, 0)(cmd, args)
}

// again shows how the guardians are until a signal comes, which is no failure,
// or nobody reads any more.
func (s *statusCommand) again(cmd *cobra.Command, vault *client.Vault, members []client.Member) error {
	if !cmd.Flags().Changed("timeout") {
		s.timeout = watchPatience
	}
	for {
		screen := s.screen(cmd.Context(), vault, members)
		if cmd.Context().Err() != nil {
			return nil
		}
		if isTerminal(cmd.OutOrStdout()) {
			screen = append([]byte(eraseScreen), screen...)
		}
		if _, err := cmd.OutOrStdout().Write(screen); err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-time.After(s.watch):
		}
	}
}

// screen is one look, in one piece so that it does not flicker. That too few
// answer is part of it.
func (s *statusCommand) screen(ctx context.Context, vault *client.Vault, members []client.Member) []byte {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	show, err := s.look(ctx, vault, members)
	var screen bytes.Buffer
	if !s.json {
		fmt.Fprintln(&screen, time.Now().Format(time.DateTime))
	}
	show(&screen) //nolint:errcheck // into memory
	if !s.json {
		if err != nil {
			fmt.Fprintln(&screen, err)
		}
		fmt.Fprintln(&screen)
	}
	return screen.Bytes()
}
