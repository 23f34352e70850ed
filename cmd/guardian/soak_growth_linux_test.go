package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// sample is what a process held at one time.
type sample struct {
	at                                         time.Time
	goroutines, descriptors, heapUse, resident float64

	damaged float64 // reads that failed their check, since the start
}

// measure asks the admin plane of a process.
func measure(p *process) (sample, error) {
	parser := expfmt.NewTextParser(model.LegacyValidation)
	text := fetch("http://" + p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") + "/metrics")
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		return sample{}, err
	}
	got := sample{at: time.Now()}
	for name, into := range map[string]*float64{
		"go_goroutines": &got.goroutines, "process_open_fds": &got.descriptors,
		"go_memstats_heap_inuse_bytes": &got.heapUse, "process_resident_memory_bytes": &got.resident,
	} {
		found := families[name].GetMetric()
		if len(found) != 1 {
			return sample{}, fmt.Errorf("there is no %s", name)
		}
		*into = found[0].GetGauge().GetValue()
	}
	for _, metric := range families["guardian_integrity_failures_total"].GetMetric() {
		got.damaged = metric.GetCounter().GetValue()
	}
	return got, nil
}

// held are the quantities that may not grow while the load stays the same, and
// by how much each may seem to, from the first sample to the last: what is
// collected late, and a pool of connections to a bucket, of two goroutines each,
// that comes to what the load takes at its worst. Fewer goroutines and descriptors
// that are lost show when the load stops.
var held = []struct {
	name    string
	of      func(sample) float64
	allowed float64
	unit    float64
}{
	{"goroutines", func(s sample) float64 { return s.goroutines }, 40, 1},
	{"descriptors", func(s sample) float64 { return s.descriptors }, 20, 1},
	{"heap in use, MiB", func(s sample) float64 { return s.heapUse }, 8 << 20, 1 << 20},
	{"resident, MiB", func(s sample) float64 { return s.resident }, 32 << 20, 1 << 20},
}

const (
	// minSamples are needed to tell growth from noise. More than maxSamples
	// would tell no more, and take long to compare.
	minSamples = 30
	maxSamples = 1000
)

// settled are the samples after the warm-up, the first third, or so many of
// them that are as far apart as all; none if they are too few.
func settled(samples []sample) (some []sample) {
	samples = samples[len(samples)/3:]
	if len(samples) < minSamples {
		return nil
	}
	for i := 0; i < len(samples); i += (len(samples) + maxSamples - 1) / maxSamples {
		some = append(some, samples[i])
	}
	return some
}

// growth says what grows beyond doubt: by more than is allowed even with the
// least slope of Sen's confidence interval.
func growth(samples []sample) (found []string) {
	samples = settled(samples)
	if samples == nil {
		return nil
	}
	took := samples[len(samples)-1].at.Sub(samples[0].at)
	for _, h := range held {
		slope, least := trend(samples, h.of)
		if least*took.Seconds() > h.allowed {
			found = append(found, fmt.Sprintf("%s: %+.1f in %v, at least %+.1f, which is beyond %.0f",
				h.name, slope*took.Seconds()/h.unit, took, least*took.Seconds()/h.unit, h.allowed/h.unit))
		}
	}
	return found
}

// trend is the slope for a second: the median of the slopes between any two
// samples (Theil and Sen), which a quarter of the samples can be far off without
// moving it far; and the lower end of its confidence interval of 99.9 % (Sen 1968,
// Estimates of the Regression Coefficient Based on Kendall's Tau).
func trend(samples []sample, of func(sample) float64) (slope, least float64) {
	const deviations = 3.29
	var slopes []float64
	for i, a := range samples {
		for _, b := range samples[i+1:] {
			if took := b.at.Sub(a.at).Seconds(); took > 0 {
				slopes = append(slopes, (of(b)-of(a))/took)
			}
		}
	}
	slices.Sort(slopes)
	n := float64(len(samples))
	spread := deviations * math.Sqrt(n*(n-1)*(2*n+5)/18)
	return slopes[len(slopes)/2], slopes[max(0, int((float64(len(slopes))-spread)/2))]
}

// TestGrowth wants growth to be found behind noise, and none where there is noise
// alone, or a jump as of a cache that fills.
func TestGrowth(t *testing.T) {
	t.Parallel()
	const n = 400
	for name, test := range map[string]struct {
		value func(i int) float64 // of every quantity, in what is allowed of it
		grows bool
	}{
		"constant":       {func(int) float64 { return 3 }, false},
		"noise":          {func(int) float64 { return 5 * rand.Float64() }, false},
		"outliers":       {func(i int) float64 { return 100 * float64(i%10/9) }, false},
		"less and less":  {func(i int) float64 { return float64(n - i) }, false},
		"within":         {func(i int) float64 { return 0.5 * float64(i) / n }, false},
		"in the warm-up": {func(i int) float64 { return float64(min(i, n/3)) }, false},
		"leak":           {func(i int) float64 { return 3 * float64(i) / n }, true},
		"leak in noise":  {func(i int) float64 { return 5*float64(i)/n + 2*rand.Float64() }, true},
		"leak in steps":  {func(i int) float64 { return float64(i / 40) }, true},
	} {
		var samples []sample
		for i := range n {
			of := func(which int) float64 { return held[which].allowed * test.value(i) }
			samples = append(samples, sample{at: time.Unix(int64(i), 0), goroutines: of(0), descriptors: of(1), heapUse: of(2), resident: of(3)})
		}
		want := 0
		if test.grows {
			want = len(held)
		}
		if found := growth(samples); len(found) != want {
			t.Errorf("%s: found %q", name, found)
		}
	}
	if found := growth(make([]sample, minSamples)); found != nil {
		t.Errorf("too few samples: found %q", found)
	}
}

// TestGrowthOfProcess has a client open one connection after the other to a
// guardian and keep them all: that leaks goroutines and descriptors.
func TestGrowthOfProcess(t *testing.T) {
	t.Parallel()
	p, err := launch(buildGuardian(t), t.TempDir(), bareEnvironment("GUARDIAN_ADMIN_BIND=127.0.0.1:0"), "--storage", "x", "--unauthenticated", "--bind", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.kill()
	eventually(t, "it says where its metrics are", func() bool { return p.printed("GUARDIAN_ADMIN_LISTEN_ADDR") != "" })
	var samples []sample
	for range 3 * minSamples {
		conn, err := net.Dial("tcp", p.address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		got, err := measure(p)
		if err != nil {
			t.Fatal(err)
		}
		samples = append(samples, got)
	}
	found := strings.Join(growth(samples), "\n")
	if !strings.Contains(found, "goroutines") || !strings.Contains(found, "descriptors") {
		t.Errorf("found %q", found)
	}
}
