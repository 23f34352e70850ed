package repair_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// oddities stand in for parts of answers.
var oddities = []any{
	nil, "", "AAAA", -1.0, 0.0, 256.0, 1e300,
	[]any{},
	map[string]any{},
	true,
	[]any{nil, nil},
	"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}

func mutate(value any, r *rand.Rand) any {
	if r.IntN(6) == 0 {
		return oddities[r.IntN(len(oddities))]
	}
	switch value := value.(type) {
	case map[string]any:
		for field, inner := range value {
			if r.IntN(2) == 0 {
				value[field] = mutate(inner, r)
			}
		}
	case []any:
		return mutateList(value, r)
	}
	return value
}

func mutateList(list []any, r *rand.Rand) []any {
	for i := range list {
		if r.IntN(3) == 0 {
			list[i] = mutate(list[i], r)
		}
	}
	if len(list) > 0 && r.IntN(3) == 0 {
		list = append(list, list[r.IntN(len(list))])
	}
	if len(list) > 0 && r.IntN(4) == 0 {
		list = list[:len(list)-1]
	}
	return list
}

// Whatever one guardian answers, shares heal, audits end, and nobody else is
// named.
func TestMutatedAnswers(t *testing.T) {
	for seed := range uint64(20) {
		inFleet(t, 5, func(t *testing.T, w *fleet) {
			r := rand.New(rand.NewPCG(seed, 1))
			victim, liar := w.all[0], w.all[4]
			s := w.keep(1, "", 7, 2, w.all...)
			w.keep(2, "x", 3, 2, w.all...)
			s.damage(t, victim, "share.bin")
			w.bend = func(by *member, _ string, answer []byte) []byte {
				w.mu.Lock()
				defer w.mu.Unlock()
				var value any
				if by != liar || json.Unmarshal(answer, &value) != nil {
					return answer
				}
				bent, _ := json.Marshal(mutate(value, r))
				return bent
			}
			w.mend(s.slot, victim)
			if err := victim.StartAudit(nil); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			s.has(t, victim)
			report := victim.AuditProgress()
			if report.Running {
				t.Errorf("seed %d: the audit hangs", seed)
			}
			for _, h := range report.Groups[0].Holders {
				if h.Node != liar.id && (h.Wrong > 0 || h.Cheated > 0) {
					t.Errorf("seed %d: an honest guardian is named: %+v", seed, h)
				}
			}
		})
	}
}
