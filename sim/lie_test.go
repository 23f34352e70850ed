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
	case repair.RouteCheckAnswer:
		return changed(answer, func(a *check.AnswerAnswer) { flip(a.Shares) })
	}
	return answer
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
