package client

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/manifest"
)

// vaultOf is a vault over guardians that nobody asks.
func vaultOf(t *testing.T, n, k int) *Vault {
	t.Helper()
	var urls []string
	for i := range n {
		urls = append(urls, fmt.Sprintf("http://guardian-%d", i))
	}
	vault, err := NewVault(urls, nil, k)
	if err != nil {
		t.Fatal(err)
	}
	return vault
}

func setOf(positions ...int) map[int]bool {
	set := map[int]bool{}
	for _, i := range positions {
		set[i] = true
	}
	return set
}

func TestGroundSpare(t *testing.T) {
	all := []int{0, 1, 2, 3, 4}
	for name, test := range map[string]struct {
		keepers, holders, acked, left []int
		untold                        []int
		need, want                    int // K is 3
	}{
		"all hold it, all keep it":              {keepers: all, holders: all, left: all, need: 3, want: 2},
		"four hold it":                          {keepers: all, holders: all[1:], left: all, need: 3, want: 2},
		"four hold it, the fifth did not say":   {keepers: all, holders: all[1:], untold: all[:1], left: all, need: 3, want: 1},
		"K hold it, two did not say":            {keepers: all, holders: all[2:], untold: all[:2], left: all, need: 3, want: 0},
		"K hold it":                             {keepers: all, holders: all[2:], left: all, need: 3, want: 2},
		"fewer hold it":                         {keepers: all, holders: all[3:], left: all, need: 3, want: 3},
		"it needs two":                          {keepers: all, holders: all[1:], left: all, need: 2, want: 3},
		"one that took the new one retains":     {keepers: all[:4], holders: all, acked: []int{4}, left: all[:4], need: 3, want: 2},
		"one that took it never held the old":   {keepers: all[:4], holders: all[:4], acked: []int{4}, left: all[:4], need: 3, want: 1},
		"one that said nothing counts as lost":  {keepers: all[:4], holders: all, left: all[:4], need: 3, want: 1},
		"a keeper that took the new one drops":  {keepers: all, holders: all, acked: []int{0}, left: all[1:], need: 3, want: 1},
		"a keeper that failed may have dropped": {keepers: all, holders: all, left: all[2:], need: 3, want: 0},
		"K-1 took it":                           {keepers: all[2:], holders: all[2:], acked: []int{0, 1}, left: all[2:], need: 3, want: 1},
		"K took it":                             {keepers: all[3:], holders: all[:1], acked: []int{0, 1, 2}, left: all[3:], need: 3, want: 2},
		"more than K, none left":                {keepers: all[4:], holders: all, acked: all, need: 3, want: 0},
	} {
		g := ground{keepers: setOf(test.keepers...), holders: setOf(test.holders...), untold: setOf(test.untold...), need: test.need}
		if got := g.spare(&tally{acked: setOf(test.acked...)}, test.left, 3); got != test.want {
			t.Errorf("%s: %d can be spared, want %d", name, got, test.want)
		}
	}
}

func TestGroundPassable(t *testing.T) {
	for name, test := range map[string]struct {
		keepers, holders []int
		need, k, n       int
		want             bool
	}{
		"nothing is kept":                {nil, nil, 0, 3, 5, true},
		"K others":                       {[]int{0, 1}, []int{0, 1, 2}, 3, 3, 5, true},
		"K-1 others":                     {[]int{0, 1, 2}, []int{0, 1, 2}, 3, 3, 5, true},
		"K-2 others, all hold it":        {[]int{0, 1, 2, 3}, []int{0, 1, 2, 3, 4}, 3, 3, 5, true},
		"K-2 others, K+1 hold it":        {[]int{0, 1, 2, 3}, []int{0, 1, 2, 3}, 3, 3, 5, true},
		"no other, all hold it":          {[]int{0, 1, 2, 3, 4}, []int{0, 1, 2, 3, 4}, 3, 3, 5, true},
		"no other, one does not hold it": {[]int{0, 1, 2, 3, 4}, []int{0, 1, 2, 3}, 3, 3, 5, true},
		"no other, another does not":     {[]int{0, 1, 2, 3, 4}, []int{1, 2, 3, 4}, 3, 3, 5, true},
		"no other of four, all hold it":  {[]int{0, 1, 2, 3}, []int{0, 1, 2, 3}, 3, 3, 4, false},
		"no other of four, its K is two": {[]int{0, 1, 2, 3}, []int{0, 1, 2, 3}, 2, 3, 4, true},
		"no other, its K is four":        {[]int{0, 1, 2, 3, 4}, []int{0, 1, 2, 3, 4}, 4, 3, 5, false},
		"three guardians, all needed":    {[]int{0, 1, 2}, []int{0, 1, 2}, 3, 3, 3, false},
		"three guardians, two needed":    {[]int{0, 1, 2}, []int{0, 1, 2}, 2, 2, 3, true},
	} {
		g := ground{keepers: setOf(test.keepers...), holders: setOf(test.holders...), need: test.need}
		if got := g.passable(test.k, test.n); got != test.want {
			t.Errorf("%s: passable is %v", name, got)
		}
	}
}

// Whoever keeps what can be rebuilt, and whoever then takes a share or refuses
// it: at each step K have the new version, or as many as it needs the old one.
func TestGroundSparesNobodyTooMany(t *testing.T) {
	const n, k = 5, 3
	for sets := range 1 << (3 * n) {
		keepers, holders, takers := members(sets, n), members(sets>>n, n), members(sets>>(2*n), n)
		for need := 2; need <= min(4, len(holders)); need++ {
			g := ground{keepers: setOf(keepers...), holders: setOf(holders...), need: need}
			acked, old := map[int]bool{}, setOf(holders...)
			for _, i := range takers {
				acked[i] = !g.keepers[i]
			}
			maps.DeleteFunc(acked, func(_ int, took bool) bool { return !took })
			left := g.inOrder()
			for len(left) > 0 {
				some := min(len(left), g.spare(&tally{acked: acked}, left, k))
				if some <= 0 {
					break
				}
				for _, i := range left[:some] {
					if slices.Contains(takers, i) {
						acked[i] = true
						delete(old, i)
					}
				}
				left = left[some:]
				if len(acked) < k && len(old) < need {
					t.Fatalf("kept by %d, held by %d, taken by %d: %d have the new version, %d of %d the old", keepers, holders, takers, len(acked), len(old), need)
				}
			}
		}
	}
}

// members are the positions whose bits are set, of the lowest n.
func members(bits, n int) []int {
	var positions []int
	for i := range n {
		if bits>>i&1 == 1 {
			positions = append(positions, i)
		}
	}
	return positions
}

func TestGroundKeep(t *testing.T) {
	denying := at(5, 3)
	denying.denied = []uint64{2}
	g := ground{all: survey{at(1, 3), at(2, 2), at(3, 2), at(4, 1), absent, broken, denying, at(7, 4)}}
	g.rebuilt = candidate{group: group{version: 2, threshold: 2}, members: []member{{1, nil}, {2, nil}, {0, nil}}}
	g.keep(3)
	if !maps.Equal(g.keepers, setOf(0, 6, 7)) || !maps.Equal(g.holders, setOf(0, 1, 2)) || !maps.Equal(g.untold, setOf(7)) || g.need != 2 {
		t.Errorf("kept by %v, held by %v, not said by %v, needs %d", g.keepers, g.holders, g.untold, g.need)
	}
	g.rebuilt.group.threshold = 0
	if g.keep(3); g.need != 3 {
		t.Errorf("with no threshold of its own it needs %d", g.need)
	}
	g.rebuilt = candidate{}
	if g.keep(3); len(g.keepers) != 0 || len(g.holders) != 0 {
		t.Errorf("nothing was rebuilt; kept by %v, held by %v", g.keepers, g.holders)
	}
}

func TestGroundFirst(t *testing.T) {
	for name, test := range map[string]struct {
		all     survey
		keepers map[int]bool
		unnamed map[int]error
		want    []int
	}{
		"whoever answered":     {survey{at(1, 1), absent, broken, silent, {err: api.ErrIntegrityFailed}}, nil, nil, []int{0, 1, 4}},
		"no keeper":            {survey{at(1, 2), at(2, 2), at(3, 1)}, setOf(0, 1), nil, []int{2}},
		"none without a share": {survey{at(1, 1), at(2, 1)}, nil, map[int]error{0: errNoNode}, []int{1}},
		"nobody":               {survey{at(1, 2), broken, at(3, 1)}, setOf(0), map[int]error{2: errNoNode}, nil},
	} {
		g, drawn := ground{all: test.all, keepers: test.keepers}, map[int]bool{}
		for range 300 {
			first, ok := g.first(&batch{unnamed: test.unnamed})
			if ok != (len(test.want) > 0) {
				t.Fatalf("%s: drew %d, %v", name, first, ok)
			}
			if ok {
				drawn[first] = true
			}
		}
		if !maps.Equal(drawn, setOf(test.want...)) {
			t.Errorf("%s: drew %v, want %d", name, drawn, test.want)
		}
	}
}

func TestGroundSame(t *testing.T) {
	at := func(known uint64, shown map[int]group) ground {
		return ground{all: survey{}, known: known, shown: shown}
	}
	one, two := map[int]group{0: {version: 1}}, map[int]group{0: {version: 2}}
	for name, test := range map[string]struct {
		now, before ground
		want        bool
	}{
		"never looked before": {at(1, one), ground{known: 1, shown: one}, false},
		"nothing moved":       {at(1, one), at(1, maps.Clone(one)), true},
		"one more is known":   {at(2, one), at(1, one), false},
		"one shows another":   {at(1, two), at(1, one), false},
		"another split":       {at(1, map[int]group{0: {version: 1, split: "aa"}}), at(1, one), false},
		"one more shows it":   {at(1, map[int]group{0: {version: 1}, 1: {version: 1}}), at(1, one), false},
	} {
		if got := test.now.same(test.before); got != test.want {
			t.Errorf("%s: same is %v", name, got)
		}
	}
}

func TestGroundHighest(t *testing.T) {
	shown := map[int]group{0: {version: 1}, 1: {version: 7}, 2: {version: 20}, 3: {version: math.MaxUint64}}
	for next, want := range map[uint64]uint64{0: 0, 1: 0, 2: 1, 8: 7, 20: 7, 21: 20, math.MaxUint64: 20} {
		if got := highest(shown, next); got != want {
			t.Errorf("the highest below %d is %d, want %d", next, got, want)
		}
	}
	if got := highest(nil, 5); got != 0 {
		t.Errorf("the highest of nothing is %d", got)
	}
}

// To an owner a share counts that the manifest names, or that K show alike.
func TestGroundCounting(t *testing.T) {
	signed := func(f found, version uint64) found {
		m := &manifest.Manifest{Version: version, Threshold: 3, Split: f.current.group.split, PayloadSize: 1}
		m.Holders = []manifest.Holder{{X: f.current.share[0], SHA256: sha256.Sum256(f.current.share)}}
		f.current.manifest, f.current.shown = m, [32]byte{byte(version)}
		return f
	}
	spoilt := signed(at(3, 5), 5)
	spoilt.current.share = []byte{3, 1}
	inEpoch := signed(at(1, 4), 4)
	inEpoch.current.group.epoch, inEpoch.current.group.charter = 1, inEpoch.current.shown
	for name, test := range map[string]struct {
		all   survey
		owned []int
		bare  []int
	}{
		"nobody":             {survey{absent, broken, silent}, nil, nil},
		"one bare claim":     {survey{at(1, 9), absent}, nil, []int{0}},
		"K-1 bare claims":    {survey{at(1, 9), at(2, 9)}, nil, []int{0, 1}},
		"K bare claims":      {survey{at(1, 9), at(2, 9), at(3, 9), at(4, 8)}, []int{0, 1, 2}, []int{0, 1, 2, 3}},
		"one signed":         {survey{at(1, 9), signed(at(2, 4), 4)}, []int{1}, []int{0, 1}},
		"signed, but wrong":  {survey{spoilt}, nil, []int{0}},
		"signed before now":  {survey{inEpoch}, []int{0}, []int{0}},
		"K alike, one else":  {survey{at(1, 9), at(2, 9), at(3, 9), signed(at(4, 10), 10)}, []int{0, 1, 2, 3}, []int{0, 1, 2, 3}},
		"K, not quite alike": {survey{at(1, 9), at(2, 9), {current: &holding{group: group{version: 9, threshold: 2, size: 2}, share: []byte{3, 0}}}}, nil, []int{0, 1, 2}},
	} {
		vault := vaultOf(t, len(test.all), 3)
		if got := slices.Sorted(maps.Keys(vault.counting(test.all))); !slices.Equal(got, test.bare) {
			t.Errorf("%s: of a bare vault count %d, want %d", name, got, test.bare)
		}
		vault.owner = &owner{}
		if got := slices.Sorted(maps.Keys(vault.counting(test.all))); !slices.Equal(got, test.owned) {
			t.Errorf("%s: of an owner's count %d, want %d", name, got, test.owned)
		}
	}
}

func TestGroundEnoughFor(t *testing.T) {
	vault := vaultOf(t, 5, 3)
	damaged := found{err: api.ErrIntegrityFailed}
	for name, test := range map[string]struct {
		all survey
		got int // 0: enough
	}{
		"all":                    {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 1), at(5, 1)}, 0},
		"all but one":            {survey{at(1, 1), at(2, 1), at(3, 1), at(4, 1), broken}, 0},
		"hold nothing":           {survey{absent, absent, absent, absent, broken}, 0},
		"hold something damaged": {survey{damaged, absent, at(3, 1), damaged, broken}, 0},
		"two do not answer":      {survey{at(1, 1), at(2, 1), at(3, 1), broken, broken}, 3},
	} {
		err := vault.enoughFor("push", 4, test.all)
		failure, failed := errors.AsType[*QuorumError](err)
		if failed != (test.got > 0) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if failed && (failure.Action != "push" || failure.Need != 4 || failure.Got != test.got || len(failure.Errs) != 5-test.got) {
			t.Errorf("%s: %+v", name, failure)
		}
	}
}

func TestGroundAddClaims(t *testing.T) {
	vault := vaultOf(t, 3, 2)
	conflict := func(i int, version uint64) error {
		return vault.named(i, &api.VersionConflictError{Current: version})
	}
	for name, test := range map[string]struct {
		claims   map[int]uint64
		refusals []error
		want     map[int]uint64
		raised   bool
	}{
		"none refused":        {map[int]uint64{0: 4}, nil, map[int]uint64{0: 4}, false},
		"another refusal":     {map[int]uint64{}, []error{vault.named(0, api.ErrQuotaExceeded), ErrKept}, map[int]uint64{}, false},
		"a first claim":       {map[int]uint64{}, []error{conflict(1, 5)}, map[int]uint64{1: 5}, true},
		"a first claim of 0":  {map[int]uint64{}, []error{conflict(1, 0)}, map[int]uint64{1: 0}, true},
		"a higher one":        {map[int]uint64{1: 5}, []error{conflict(1, 6)}, map[int]uint64{1: 6}, true},
		"the same again":      {map[int]uint64{1: 5}, []error{conflict(1, 5)}, map[int]uint64{1: 5}, false},
		"a lower one":         {map[int]uint64{1: 5}, []error{conflict(1, 4)}, map[int]uint64{1: 5}, false},
		"each of its own":     {map[int]uint64{0: 9}, []error{conflict(0, 2), conflict(2, 3)}, map[int]uint64{0: 9, 2: 3}, true},
		"of a stranger":       {map[int]uint64{}, []error{&Error{Guardian: "http://stranger", Err: &api.VersionConflictError{Current: 5}}}, map[int]uint64{}, false},
		"of nobody":           {map[int]uint64{}, []error{&api.VersionConflictError{Current: 5}}, map[int]uint64{}, false},
		"wrapped in a reason": {map[int]uint64{}, []error{vault.named(2, fmt.Errorf("%w: twice?", &api.VersionConflictError{Current: 5}))}, map[int]uint64{2: 5}, true},
	} {
		if raised := vault.addClaims(test.claims, test.refusals); raised != test.raised || !maps.Equal(test.claims, test.want) {
			t.Errorf("%s: raised is %v, the claims are %v", name, raised, test.claims)
		}
	}
}

func TestGroundImpassable(t *testing.T) {
	vault := vaultOf(t, 5, 3)
	err := vault.impassable(ground{keepers: setOf(4, 1)})
	failure, ok := errors.AsType[*QuorumError](err)
	if !ok || failure.Need != 4 || failure.Got != 0 || len(failure.Errs) != 2 || !errors.Is(err, ErrKept) {
		t.Fatalf("impassable: %v", err)
	}
	for i, position := range []int{1, 4} {
		if !from(vault.guardians[position], failure.Errs[i]) {
			t.Errorf("error %d is not that of guardian %d: %v", i, position, failure.Errs[i])
		}
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// The guardian that a push goes by way of may hang. It gets a part of the time.
func TestGroundFirstMayHang(t *testing.T) {
	for _, test := range []struct{ deadline, want time.Duration }{
		{0, firstTimeout}, {time.Minute, firstTimeout}, {firstTimeout, firstTimeout / 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := t.Context(), func() {}
			if test.deadline > 0 {
				ctx, cancel = context.WithTimeout(ctx, test.deadline)
			}
			defer cancel()
			vault, sent := vaultOf(t, 3, 2), &tally{acked: map[int]bool{}, errs: map[int]error{}}
			vault.guardians[1].http.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
			start := time.Now()
			took := vault.pushFirst(ctx, &batch{requests: make([]api.PushRequest, 3)}, 1, sent)
			if waited := time.Since(start); took || sent.errs[1] == nil || waited != test.want || ctx.Err() != nil {
				t.Errorf("with %v in all it was waited for %v, took its share: %v, %v", test.deadline, waited, took, sent.errs[1])
			}
		})
	}
}

// A share is judged anew when another manifest of its edition comes to count.
func TestGroundJudgesByTheManifestThatCounts(t *testing.T) {
	h := at(1, 4).current
	charterOf := func(of []byte, hash byte) charter {
		holders := []manifest.Holder{{X: 1, SHA256: sha256.Sum256(of)}}
		return charter{&manifest.Manifest{Version: 4, Threshold: 3, PayloadSize: 1, Holders: holders}, [sha256.Size]byte{hash}}
	}
	right, wrong := charterOf(h.share, 1), charterOf([]byte{1, 9}, 2)
	for i, by := range []charter{wrong, right, wrong, {}, right} {
		if err := h.judge(by); (err != nil) != (by.hash == wrong.hash) {
			t.Errorf("judgement %d: %v", i, err)
		}
	}
}
