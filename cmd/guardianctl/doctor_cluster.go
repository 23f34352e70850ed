package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// margin says how many more guardians may be lost.
func margin(vault *client.Vault, visits []visited) finding {
	alive, k, w := 0, vault.Threshold(), vault.WriteQuorum()
	for _, v := range visits {
		if v.answered() && v.unready == "" {
			alive++
		}
	}
	f := sound("quorum", "%d of %d are ready; %d rebuild a secret (K), %d take a new one (W)", alive, len(visits), k, w)
	switch {
	case alive < k:
		f.Verdict, f.Found = verdictFail, f.Found+": nothing can be recovered"
	case alive < w:
		f.Verdict, f.Found = verdictFail, f.Found+": nothing can be stored"
	case alive <= k+1:
		f.Verdict, f.Found = verdictWarn, f.Found+fmt.Sprintf(": only %d more may be lost for what is stored", alive-k)
	}
	if f.Verdict != verdictOK {
		f.Next = "bring guardians back, or add some: guardianctl redistribute moves shares to new ones"
	}
	return f
}

// versions are side by side during an upgrade only.
func versions(all []viewOfOne, visits []visited) finding {
	said := votes{api.Version: {"guardianctl"}}
	for i, v := range visits {
		if v.answered() {
			version := plain(v.view.Status.Version)
			said[version] = append(said[version], all[i].name)
		}
	}
	if line := said.line("the programs", "version"); line != "" {
		return finding{"versions", verdictWarn, "", line, "end the upgrade: replace one guardian after the other, and guardianctl"}
	}
	return sound("versions", "all are of %s", api.Version)
}

// membership is whether all see the same members alive, and all of those were
// asked.
func membership(seen clusterResult, visits []visited) finding {
	if !slices.ContainsFunc(visits, func(v visited) bool { return v.answered() && (v.view.Status.Peers > 0 || v.view.Status.PeerPort > 0) }) {
		return sound("members", "each guardian is alone (no GUARDIAN_REGISTRY): shares do not heal by themselves")
	}
	f := sound("members", "all see the same %d, alive", len(seen.Members))
	var lines, gone []string
	for _, m := range seen.Members {
		asked := slices.ContainsFunc(seen.Guardians, func(one viewOfOne) bool { return one.NodeID == m.NodeID || one.Guardian == m.URL })
		if m.State != "alive" {
			gone = append(gone, fmt.Sprintf("%s is %s to %d of %d", m.NodeID, m.State, m.Agreeing, m.Asked))
		} else if !asked {
			lines = append(lines, m.NodeID+" is a member and was not asked ("+orDash(m.URL)+")")
		}
	}
	lines = append(lines, seen.Disagreements...)
	switch {
	case len(gone) > 0:
		f.Verdict, f.Next = verdictFail, "bring it back; one that calls others alive and is dead to them has a wrong GUARDIAN_PEER_ADVERTISE_URL: guardianctl status --cluster"
	case len(lines) > 0:
		f.Verdict, f.Next = verdictWarn, "look again in a minute; if it stays, see guardianctl status --cluster, and name all guardians"
	default:
		return f
	}
	f.Found = strings.Join(append(gone, lines...), "; ")
	return f
}

// shareCounts are equal where every owner uses all guardians.
func shareCounts(seen clusterResult, visits []visited) finding {
	counts := votes{}
	for i, v := range visits {
		if v.answered() {
			count := strconv.FormatInt(v.view.Status.Shares, 10)
			counts[count] = append(counts[count], seen.Guardians[i].name)
		}
	}
	if line := counts.line("shares", "number"); line != "" {
		return finding{
			"shares", verdictWarn, "", line,
			"guardianctl scrub on those that have fewer finds what they lack, and repair brings it; without a registry owners store again. Nothing is wrong where owners chose some guardians only, or just now stored",
		}
	}
	return sound("shares", "all hold the same number, %s", orDash(counts.winner()))
}

// keys are of one guardian each: a node key that two have makes one of two.
func keys(all []viewOfOne, visits []visited) finding {
	owners, primaries := votes{}, []string{}
	for i, v := range visits {
		if !v.answered() {
			continue
		}
		primaries = append(primaries, all[i].name+" "+orDash(plain(v.view.Status.PrimaryKeyID)))
		if key := v.view.Status.NodeKey; key != "" {
			owners[key] = append(owners[key], all[i].name)
		}
	}
	for key, names := range owners {
		if len(names) > 1 {
			return finding{
				"keys", verdictFail, "", fmt.Sprintf("one node key, %s, is that of %s", shortKey(key), strings.Join(names, " and ")),
				"give each guardian a node key of its own (GUARDIAN_NODE_KEY_FILE); if these are one guardian under two names, name it once",
			}
		}
	}
	return sound("keys", "node keys differ; integrity keys in use: %s", strings.Join(primaries, ", "))
}
