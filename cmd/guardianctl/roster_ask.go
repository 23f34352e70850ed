package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/cluster"
)

// source is who is asked about a guardian.
func (a *rosterAdd) source() string {
	if a.from != "" {
		return "the guardian at " + shown(a.from)
	}
	return "the registry"
}

// askAbout returns what the registry or the guardian says, and of all guardians
// whose the indices are. The index may be 0; all else is within bounds.
func (a *rosterAdd) askAbout(cmd *cobra.Command, node string) (known draftEntry, seats []draftSeat, err error) {
	var all []draftEntry
	switch {
	case a.from != "":
		all, err = a.askGuardian(cmd)
	case a.given():
		all, err = a.askRegistry(cmd)
	default:
		return known, nil, usageError(`pass --registry LOCATION or --from URL, to take them from there; or --key and --index`, "neither a registry nor key and index of %s given", node)
	}
	if err != nil {
		return known, nil, err
	}
	i := slices.IndexFunc(all, func(e draftEntry) bool { return e.NodeID == node })
	if i < 0 {
		return known, nil, notThere(a.source(), node, all)
	}
	for _, e := range all {
		if e.Index != 0 {
			seats = append(seats, draftSeat{e.NodeID, e.Index})
		}
	}
	return all[i], seats, nil
}

func (a *rosterAdd) askRegistry(cmd *cobra.Command) (all []draftEntry, err error) {
	at, err := a.location()
	if err != nil {
		return nil, err
	}
	err = useRegistry(cmd, at, a.timeout, func(ctx context.Context, registry cluster.Registry) error {
		members, err := registry.List(ctx)
		for _, m := range members {
			all = append(all, entryOf(cluster.Entry{NodeID: m.NodeID, Index: m.Index, Key: m.PublicKey, FailureDomain: m.FailureDomain}))
		}
		return err
	})
	return all, err
}

func (a *rosterAdd) askGuardian(cmd *cobra.Command) (all []draftEntry, err error) {
	roots, err := a.roots()
	if err != nil {
		return nil, err
	}
	at, err := client.New(a.from, "", client.WithRootCAs(roots))
	if err != nil {
		return nil, usageError("pass the guardian's URL, for example --from https://g1.example:7500", "--from: %w", err)
	}
	var answer api.GuardiansResponse
	err = a.ask(cmd, "asking", func(ctx context.Context) error {
		answer, err = at.Guardians(ctx)
		return err
	})
	if err != nil {
		return nil, failure(err, "correct --from, and bring the guardian up; or pass --registry")
	}
	for _, info := range answer.Guardians {
		e := draftEntry{NodeID: info.NodeID, Index: info.Index, Key: strings.ToLower(info.NodeKey), FailureDomain: info.FailureDomain}
		bounded := e
		bounded.Index = cmp.Or(e.Index, 1)
		if bounded.check() == nil {
			all = append(all, e)
		}
	}
	return all, nil
}

func notThere(source, node string, all []draftEntry) error {
	known := "nobody"
	if len(all) > 0 {
		known = nodesOf(all)
	}
	return &advisedError{
		exitNotFound, fmt.Errorf("%s knows no %s with a node key", source, node),
		"start it with " + registryVariable + ", and see what it logs; known there: " + known,
	}
}

func nodesOf(all []draftEntry) string {
	var nodes []string
	for _, e := range all {
		nodes = append(nodes, e.NodeID)
	}
	return strings.Join(nodes, ", ")
}
