package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/manifest"
)

// clusterResult is what all guardians say of their cluster, beside each other.
type clusterResult struct {
	Members   []memberSeen `json:"members"`
	Guardians []viewOfOne  `json:"guardians"`
	// Disagreements are a line each.
	Disagreements []string `json:"disagreements"`
}

// memberSeen is a member as most of the guardians that answered see it.
type memberSeen struct {
	Index  int    `json:"index"`
	NodeID string `json:"node_id"`
	URL    string `json:"url"`
	State  string `json:"state"`
	// Agreeing of Asked guardians that answered say that state.
	Agreeing int `json:"agreeing"`
	Asked    int `json:"asked"`
	// States is who says which state, unlisted among them.
	States map[string][]string `json:"states"`
	// Shares are its own count where it answered, else the highest that another
	// heard from it.
	Shares            int64 `json:"shares"`
	SharesApproximate bool  `json:"shares_approximate"`

	counted bool // by itself
}

// viewOfOne is how one guardian sees the cluster as a whole.
type viewOfOne struct {
	Guardian     string `json:"guardian"`
	NodeID       string `json:"node_id,omitempty"`
	State        string `json:"state"`
	RosterSerial uint64 `json:"roster_serial"`
	Members      int    `json:"members"`
	Alive        int    `json:"alive"`
	Threshold    int    `json:"threshold"`
	WriteQuorum  int    `json:"write_quorum"`
	Error        string `json:"error,omitempty"`

	name string // by which it is cited
	list map[string]api.GuardianInfo
}

// unlisted is the state of a member in the eyes of who does not list it.
const unlisted = "unlisted"

// compare puts the views of all guardians beside each other. What they say is
// bounded by the client, and made fit for a terminal here. The members say which
// guardian is which node, where that is known.
func compare(views []client.GuardianView, members []client.Member) clusterResult {
	result := clusterResult{Members: []memberSeen{}, Guardians: []viewOfOne{}, Disagreements: []string{}}
	cited := map[string]bool{}
	for _, v := range views {
		one := asSeenBy(v)
		at := slices.IndexFunc(members, func(m client.Member) bool { return m.URL == one.Guardian })
		one.name = one.NodeID
		switch {
		case one.NodeID == "":
			one.name = one.Guardian
		case at >= 0 && members[at].NodeID != one.NodeID:
			one.name = one.Guardian
			result.Disagreements = append(result.Disagreements, fmt.Sprintf("%s says that it is %s, and should be %s", one.Guardian, one.NodeID, members[at].NodeID))
		case cited[one.NodeID]:
			one.name = one.Guardian
			result.Disagreements = append(result.Disagreements, fmt.Sprintf("%s says that it is %s, and so does another", one.Guardian, one.NodeID))
		}
		cited[one.name] = true
		result.Guardians = append(result.Guardians, one)
	}
	for _, id := range allListed(result.Guardians) {
		seen, lines := seenByAll(id, result.Guardians)
		result.Members = append(result.Members, seen)
		result.Disagreements = append(result.Disagreements, lines...)
	}
	result.Disagreements = append(result.Disagreements, rosterSerials(result.Guardians)...)
	slices.SortStableFunc(result.Members, func(a, b memberSeen) int { return cmp.Compare(a.Index, b.Index) })
	return result
}

func asSeenBy(v client.GuardianView) viewOfOne {
	one := viewOfOne{Guardian: v.Guardian}
	if v.Err != nil {
		one.State, one.Error = stateOf(v.Err), problems([]error{v.Err})[0].Error
		return one
	}
	one.State, one.RosterSerial, one.Alive = plain(v.Status.Status), v.Status.RosterSerial, v.Status.Alive
	one.Threshold, one.WriteQuorum, one.Members = v.List.Threshold, v.List.WriteQuorum, len(v.List.Guardians)
	if manifest.ValidNode(v.Status.NodeID) {
		one.NodeID = v.Status.NodeID
	}
	one.list = map[string]api.GuardianInfo{}
	for _, info := range v.List.Guardians {
		if manifest.ValidNode(info.NodeID) {
			one.list[info.NodeID] = info
		}
	}
	return one
}

// allListed is the node id of everybody whom somebody lists.
func allListed(all []viewOfOne) []string {
	ids := map[string]bool{}
	for _, one := range all {
		for id := range one.list {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// votes are who says what, by what is said.
type votes map[string][]string

// winner is what most say, the first in order among equals.
func (v votes) winner() (most string) {
	for _, said := range slices.Sorted(maps.Keys(v)) {
		if len(v[said]) > len(v[most]) {
			most = said
		}
	}
	return most
}

// line tells a disagreement, "" where there is none.
func (v votes) line(id, what string) string { return v.shownBy(id, what, orDash) }

// shownBy is line for what is too long to be told whole.
func (v votes) shownBy(id, what string, show func(string) string) string {
	if len(v) < 2 {
		return ""
	}
	var parts []string
	for _, said := range slices.Sorted(maps.Keys(v)) {
		parts = append(parts, fmt.Sprintf("%s: %s", show(said), strings.Join(v[said], ", ")))
	}
	return fmt.Sprintf("%s of %s, and who says so: %s", what, id, strings.Join(parts, "; "))
}

// seenByAll asks who says what of one member, and who does not list it.
func seenByAll(id string, all []viewOfOne) (seen memberSeen, lines []string) {
	states, indices, urls, keys := votes{}, votes{}, votes{}, votes{}
	seen.NodeID = id
	for _, one := range all {
		if one.Error != "" {
			continue
		}
		seen.Asked++
		info, listed := one.list[id]
		if !listed {
			states[unlisted] = append(states[unlisted], one.name)
			continue
		}
		states[plain(info.State)] = append(states[plain(info.State)], one.name)
		index, url, key := strconv.Itoa(info.Index), plainURL(info.URL), strings.ToLower(info.NodeKey)
		indices[index] = append(indices[index], one.name)
		urls[url] = append(urls[url], one.name)
		keys[key] = append(keys[key], one.name)
		seen.count(info, one.name == id)
	}
	seen.State, seen.URL, seen.States = states.winner(), urls.winner(), states
	seen.Agreeing = len(states[seen.State])
	seen.Index, _ = strconv.Atoi(indices.winner())
	for _, line := range []string{states.line(id, "state"), indices.line(id, "index"), urls.line(id, "URL"), keys.shownBy(id, "node key", shortKey)} {
		if line != "" {
			lines = append(lines, line)
		}
	}
	return seen, lines
}

// count takes the word of the member itself.
func (m *memberSeen) count(info api.GuardianInfo, itself bool) {
	switch {
	case itself:
		m.Shares, m.SharesApproximate = info.ShareCount, info.ShareCountApprox
		m.counted = true
	case !m.counted:
		m.Shares, m.SharesApproximate = max(m.Shares, info.ShareCount), true
	}
}

func shortKey(digits string) string {
	return orDash(plain(digits[:min(16, len(digits))]))
}

// rosterSerials tells when not all have the same roster.
func rosterSerials(all []viewOfOne) []string {
	serials := votes{}
	for _, one := range all {
		if one.Error == "" {
			serial := strconv.FormatUint(one.RosterSerial, 10)
			serials[serial] = append(serials[serial], one.name)
		}
	}
	if line := serials.line("the roster", "serial"); line != "" {
		return []string{line}
	}
	return nil
}

func printCluster(out io.Writer, asJSON bool, result clusterResult) error {
	if asJSON {
		return printJSON(out, result)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "INDEX\tNODE\tSTATE\tSAY SO\tSHARES\tURL")
	for _, m := range result.Members {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d of %d\t%s\t%s\n", indexOrDash(m.Index), m.NodeID, m.State,
			m.Agreeing, m.Asked, countOf(m.Shares, m.SharesApproximate), orDash(m.URL))
	}
	table.Flush()
	fmt.Fprintln(out)
	fmt.Fprintln(table, "ASKED\tNODE\tSTATE\tMEMBERS\tALIVE\tK\tW\tROSTER")
	for _, one := range result.Guardians {
		if one.Error != "" {
			fmt.Fprintf(table, "%s\t-\t%s\t-\t-\t-\t-\t-\n", one.Guardian, one.State)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\n", one.Guardian, orDash(one.NodeID), one.State,
			one.Members, one.Alive, one.Threshold, one.WriteQuorum, one.RosterSerial)
	}
	err := table.Flush()
	for _, line := range result.Disagreements {
		_, err = fmt.Fprintln(out, "they disagree: "+line)
	}
	return err
}
