package sim

import (
	"encoding/json"

	"github.com/vault-guardian/guardian/repair"
	"github.com/vault-guardian/guardian/repair/check"
)

// lie changes what a guardian says of its shares, where nothing but a check of
// all tells that it is wrong.
func lie(route string, answer []byte) []byte {
	switch route {
	case repair.RouteContribute:
		return changed(answer, func(a *repair.ContributeAnswer) { flip(a.Masked) })
	case repair.RouteCheck + string(check.StepAnswer):
		return changed(answer, func(a *check.AnswerAnswer) { flip(a.Shares) })
	}
	return answer
}

// lies is how a guardian lies where shares are moved.
type lies byte

const (
	honest  lies = iota
	helps        // in what it computes for others, and in audits
	deals        // in what it deals to new holders
	masks        // in what it publishes, as it has signed it
	votes        // in its votes
	silence      // it takes part, and does not answer in the end
	kinds
)

// lie is lie where shares are moved. Whoever lies denies that it has a
// share, as nothing could be moved over its objection.
func (l lies) lie(route string, answer []byte) []byte {
	switch {
	case route == repair.RouteStanding:
		return changed(answer, func(a *repair.StandingAnswer) { a.Sound = false })
	case l == helps && route == repair.RouteContribute:
		return lie(route, answer)
	case l == deals && route == repair.RouteCheck+string(check.StepShare):
		return changed(answer, func(a *check.ShareAnswer) { flip(a.Sealed) })
	case l == votes && (route == repair.RouteCheck+string(check.StepAgree) || route == repair.RouteCheck+string(check.StepPrepare)):
		return changed(answer, func(a *check.VoteAnswer) {
			for _, v := range a.Votes {
				flip(v.Signature)
			}
		})
	case l == silence && route == repair.RouteCheck+string(check.StepAnswer):
		return []byte("{}")
	}
	return answer
}

// bend has a guardian publish what is not so.
func (m *moves) bend(p *process, r *repair.Repairer) {
	if m == nil || !p.on.lies || m.lie != masks {
		return
	}
	mask := rule[func([]byte, [][]byte)](r, "checks", "rules", "mask")
	add := *mask
	*mask = func(a []byte, masks [][]byte) {
		add(a, masks)
		flip(a)
	}
}

func changed[T any](answer []byte, change func(*T)) []byte {
	var said T
	if json.Unmarshal(answer, &said) != nil {
		return answer
	}
	change(&said)
	data, err := json.Marshal(said)
	if err != nil {
		return answer
	}
	return data
}

func flip(data []byte) {
	if len(data) > 0 {
		data[len(data)/2] ^= 0x5a
	}
}
