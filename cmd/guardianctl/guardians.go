package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

type guardiansCommand struct {
	callFlags
	from      string
	rosterKey string
	accept    bool
	yes       bool
}

func newGuardiansCommand() *cobra.Command {
	var g guardiansCommand
	cmd := &cobra.Command{
		Use:   "guardians",
		Short: "Show the guardians that one of them knows",
		Long: `Ask one guardian which others it knows, and how it sees them. K and W are those for
as many as it takes for alive. This is what that guardian says, unchecked; status
--cluster compares what all of them say.

With --accept the list is confirmed, in place of the one confirmed before if there
was one, and other commands use it with --guardians-from. They warn of a guardian
that later gives another list, and do not use that one. With --roster-key the list
is that of the roster, and what is confirmed are the URLs of its members.`,
		Example: `  guardianctl guardians --from https://guardian-1.example:7500
  guardianctl guardians --from https://guardian-1.example:7500 --accept
  guardianctl guardians --json`,
		Args: takes(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return g.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&g.from, "from", "", "the guardian to ask (or "+guardiansFromVariable+")")
	flags.StringVar(&g.from, "guardians-from", "", "as --from")
	flags.StringVar(&g.rosterKey, "roster-key", "", "public admission key, 64 hex digits: the list is that of the roster that it signed (or "+rosterKeyVariable+")")
	flags.BoolVar(&g.accept, "accept", false, "confirm the list, for --guardians-from of other commands")
	flags.BoolVar(&g.yes, "yes", false, "with --accept: do not ask")
	g.register(cmd)
	cmd.RegisterFlagCompletionFunc("from", cobra.NoFileCompletions) //nolint:errcheck // the flag is there
	return cmd
}

func (g *guardiansCommand) run(cmd *cobra.Command) error {
	asked, err := g.open(cmd)
	if err != nil {
		return err
	}
	admission, err := admissionOf(g.rosterKey)
	if err != nil {
		return err
	}
	if g.accept {
		return g.acceptAny(asked, admission)
	}
	var said api.GuardiansResponse
	err = asked.ask(true, func(ctx context.Context) (err error) {
		said, err = asked.guardian.Guardians(ctx)
		return err
	})
	if err != nil {
		return asked.without(err)
	}
	standing, err := asked.standing(said, admission)
	if err != nil {
		return err
	}
	return g.print(cmd.OutOrStdout(), asked.guardian.URL(), said, standing)
}

func (g *guardiansCommand) open(cmd *cobra.Command) (*informant, error) {
	if err := notEmpty(cmd, "from", "guardians-from", "roster-key"); err != nil {
		return nil, err
	}
	switch {
	case len(given(cmd, "from", "guardians-from")) > 1:
		return nil, usageError("keep one of them: they mean the same", "--from and --guardians-from are given")
	case g.yes && !g.accept:
		return nil, usageError("add --accept, or leave out --yes", "--yes goes with --accept")
	case g.accept && g.json:
		return nil, usageError("leave out one of them", "--accept prints no JSON")
	case g.accept && !g.yes && !isTerminal(cmd.InOrStdin()):
		return nil, usageError("add --yes", "nobody is there to confirm the list: standard input is no terminal")
	}
	from := g.from
	if from == "" {
		from = os.Getenv(guardiansFromVariable)
	}
	if from == "" {
		return nil, usageError("pass for example --from https://guardian-1.example:7500, or set "+guardiansFromVariable, "no guardian given")
	}
	if err := g.checkTimeout(); err != nil {
		return nil, err
	}
	roots, err := g.roots()
	if err != nil {
		return nil, err
	}
	return newInformant(cmd, &g.callFlags, from, roots)
}

// acceptAny has the list confirmed, unless it is the one that is.
func (g *guardiansCommand) acceptAny(asked *informant, admission ed25519.PublicKey) (err error) {
	var members []client.Member
	if admission != nil {
		members, err = asked.acceptRoster(admission, g.yes)
	} else {
		members, err = asked.acceptList(g.yes)
	}
	if err != nil {
		return err
	}
	out := asked.cmd.OutOrStdout()
	if members == nil {
		_, err = fmt.Fprintln(out, "you have confirmed this list already")
	} else {
		_, err = fmt.Fprintf(out, "confirmed: %d guardians\n", len(members))
	}
	return err
}

// acceptList returns the list once confirmed, nil for the one that was.
func (i *informant) acceptList(yes bool) ([]client.Member, error) {
	said, err := i.list(true)
	if err != nil {
		return nil, i.without(err)
	}
	pinned, err := i.pins.list(i.guardian.URL())
	if err != nil {
		return nil, i.store.damaged(err)
	}
	changed := differences(pinned, said)
	if changed == nil {
		return nil, nil
	}
	if pinned != nil {
		i.warnOf(changed)
	}
	return said, i.confirm(said, yes, true, func(p *pins) error {
		p.setList(i.guardian.URL(), said)
		return nil
	})
}

// How a list stands to the one that was confirmed.
const (
	notConfirmed = "not confirmed"
	confirmed    = "confirmed"
	differs      = "differs"
)

func (i *informant) standing(said api.GuardiansResponse, admission ed25519.PublicKey) (string, error) {
	pinned, err := i.pins.list(i.guardian.URL())
	if admission != nil {
		pinned = nil
		var seen *seenRoster
		if seen, err = i.pins.roster(admission); seen != nil {
			pinned = seen.members
		}
	}
	if err != nil {
		return "", i.store.damaged(err)
	}
	if pinned == nil {
		return notConfirmed, nil
	}
	members, err := client.MembersOf(said.Guardians)
	if err != nil || len(differences(pinned, members)) > 0 {
		return differs, nil
	}
	return confirmed, nil
}

type guardiansResult struct {
	From        string        `json:"from"`
	Guardians   []memberInRow `json:"guardians"`
	Threshold   int           `json:"threshold"`
	WriteQuorum int           `json:"write_quorum"`
	Total       int           `json:"total"`
	// List is how it stands to the one that was confirmed: not confirmed,
	// confirmed, differs.
	List string `json:"list"`
}

// memberInRow is one guardian as another one shows it.
type memberInRow struct {
	Index             int     `json:"index"`
	NodeID            string  `json:"node_id"`
	URL               string  `json:"url"`
	State             string  `json:"state"`
	LastSeenSeconds   float64 `json:"last_seen_s"`
	Shares            int64   `json:"shares"`
	SharesApproximate bool    `json:"shares_approximate"`
	FailureDomain     string  `json:"failure_domain,omitempty"`
	NodeKey           string  `json:"node_key"`
}

func memberRow(info api.GuardianInfo) memberInRow {
	return memberInRow{
		Index: info.Index, NodeID: plain(info.NodeID), URL: plainURL(info.URL), State: plain(info.State),
		LastSeenSeconds: info.LastSeenSeconds, Shares: info.ShareCount, SharesApproximate: info.ShareCountApprox,
		FailureDomain: plain(info.FailureDomain), NodeKey: plain(info.NodeKey),
	}
}

func (g *guardiansCommand) print(out io.Writer, from string, said api.GuardiansResponse, standing string) error {
	result := guardiansResult{from, []memberInRow{}, said.Threshold, said.WriteQuorum, len(said.Guardians), standing}
	for _, info := range said.Guardians {
		result.Guardians = append(result.Guardians, memberRow(info))
	}
	if g.json {
		return printJSON(out, result)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INDEX\tNODE\tSTATE\tLAST SEEN\tSHARES\tURL")
	for _, row := range result.Guardians {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
			indexOrDash(row.Index), row.NodeID, row.State, ago(row.LastSeenSeconds), countOf(row.Shares, row.SharesApproximate), orDash(row.URL))
	}
	table.Flush()
	_, err := fmt.Fprintf(out, "%d guardians; K=%d and W=%d for those alive, says %s\n%s\n",
		result.Total, result.Threshold, result.WriteQuorum, from, standingText(standing))
	return err
}

func standingText(standing string) string {
	return map[string]string{
		notConfirmed: "you have not confirmed this list: --accept does",
		confirmed:    "this is the list that you confirmed",
		differs:      "this is not the list that you confirmed: --accept shows the difference",
	}[standing]
}

func indexOrDash(index int) string {
	if index == 0 {
		return "-"
	}
	return strconv.Itoa(index)
}

// ago is a time as a guardian gives it, in seconds.
func ago(seconds float64) string {
	const longest = 100 * 365 * 24 * time.Hour
	switch {
	case seconds < 0 || seconds > longest.Seconds():
		return "?"
	case seconds == 0:
		return "-"
	}
	return (time.Duration(seconds*10) * time.Second / 10).String()
}
