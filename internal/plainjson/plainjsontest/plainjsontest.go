// Package plainjsontest compares what reads texts by package plainjson with
// encoding/json.
package plainjsontest

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

// Same fails where read takes a text for something else than encoding/json does.
func Same[Value any](t *testing.T, text []byte, read func([]byte) (Value, bool)) {
	t.Helper()
	got, ok := read(text)
	if !ok {
		return
	}
	var want Value
	if err := json.Unmarshal(text, &want); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: %+v, json reads %+v, %v", text, got, want, err)
	}
}

// Reads fails where read does not take what encoding/json writes of a value, or takes
// a part of that.
func Reads[Value any](t *testing.T, want Value, read func([]byte) (Value, bool)) {
	t.Helper()
	text := Marshal(t, want)
	if got, ok := read(text); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%t, %+v, want %+v", ok, got, want)
	}
	for i := range text {
		if got, ok := read(text[:i]); ok {
			t.Errorf("took the first %d bytes for %+v", i, got)
		}
	}
}

// Full fails for each field of a struct that is zero: what is compared by that value
// would not tell whether a reader knows of it.
func Full(t *testing.T, value any) {
	t.Helper()
	full := reflect.ValueOf(value)
	for i := range full.NumField() {
		if full.Field(i).IsZero() {
			t.Errorf("%s is empty", full.Type().Field(i).Name)
		}
	}
}

// Benchmark measures parse. The baseline is encoding/json on the same text, in turns;
// x-json is how many times as long that takes.
func Benchmark[Value any](b *testing.B, value Value, parse func([]byte) (Value, error)) {
	const turn = 100
	text := Marshal(b, value)
	var ours, baseline time.Duration
	for b.Loop() {
		began := time.Now()
		for range turn {
			if _, err := parse(text); err != nil {
				b.Fatal(err)
			}
		}
		half := time.Now()
		for range turn {
			var value Value
			if err := json.Unmarshal(text, &value); err != nil {
				b.Fatal(err)
			}
		}
		ours, baseline = ours+half.Sub(began), baseline+time.Since(half)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/turn, "ns/parse")
	b.ReportMetric(float64(baseline)/float64(ours), "x-json")
}

// Marshal is the JSON of a value.
func Marshal(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
