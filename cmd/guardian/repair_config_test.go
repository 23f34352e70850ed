package main

import (
	"strings"
	"testing"
	"time"
)

func TestRepairBytesPerSecond(t *testing.T) {
	for text, want := range map[string]int{
		"": 4 << 20, "1024": 1024, "4194304": 4 << 20, "1000000000": 1000000000,
		"1023": 0, "0": 0, "-1": 0, "4MiB": 0, "1e6": 0, "1.5": 0, "99999999999999999999": 0, "viel": 0,
	} {
		cfg, err := loadEnv("GUARDIAN_REPAIR_BYTES_PER_SECOND=" + text)
		if want == 0 {
			if err == nil || strings.Count(err.Error(), "GUARDIAN_REPAIR_BYTES_PER_SECOND:") != 1 {
				t.Errorf("%q: %v", text, err)
			}
			continue
		}
		if err != nil || cfg.RepairBytesPerSecond != want {
			t.Errorf("%q: %+v, %v", text, cfg, err)
		}
	}
}

// The queue is looked at more often where scrubs are frequent, and not so often
// that looking is all it does.
func TestQueuePoll(t *testing.T) {
	for scrub, want := range map[time.Duration]time.Duration{
		0: 10 * time.Second, time.Nanosecond: 100 * time.Millisecond, time.Second: 500 * time.Millisecond,
		20 * time.Second: 10 * time.Second, 24 * time.Hour: 10 * time.Second,
	} {
		if got := queuePoll(scrub); got != want {
			t.Errorf("scrubs every %v: %v, want %v", scrub, got, want)
		}
	}
}
