package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// identities is how many are there from the start of each run.
const identities = 64

// result is what guardianctl bench --json prints of a run.
type result struct {
	Targets []target    `json:"targets"`
	Against *comparison `json:"against"`
}

type target struct {
	Requests   int64   `json:"requests"`
	PerSecond  float64 `json:"per_second"`
	Unsent     int64   `json:"unsent"`
	Operations []struct {
		P50 float64 `json:"p50_ms"`
		P99 float64 `json:"p99_ms"`
	} `json:"operations"`
}

type comparison struct {
	PerSecond  spread `json:"per_second"`
	Operations []struct {
		P50 spread `json:"p50"`
		P99 spread `json:"p99"`
	} `json:"operations"`
}

// spread is a median, and between which half of the values are.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func (s spread) String() string { return fmt.Sprintf("%.2f (%.2f to %.2f)", s.Median, s.Low, s.High) }

// load runs guardianctl bench on a server. Any request that fails is an error.
func (b *benchmark) load(ctx context.Context, s *server, args ...string) (result, error) {
	tokens := filepath.Join(b.dir, "token")
	if err := os.WriteFile(tokens, []byte(b.token), 0o600); err != nil {
		return result{}, err
	}
	args = append([]string{
		"bench", "--json", "--bare", "--keep", "--guardians", s.url, "--token-file", tokens,
		"--duration", b.duration.String(), "--warm-up", "0s", "--identities", fmt.Sprint(identities),
	}, args...)
	cmd := exec.CommandContext(ctx, b.guardianctl, args...)
	cmd.Env = []string{"HOME=" + b.dir}
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("guardianctl %v: %w: %s", args, err, &said)
	}
	var r result
	if err := json.Unmarshal(out, &r); err != nil {
		return result{}, fmt.Errorf("reading what guardianctl bench printed: %w", err)
	}
	return r, nil
}

// against runs the same load on two servers in turns, after both have had some.
func (b *benchmark) against(ctx context.Context, s, other *server, args ...string) (result, error) {
	tokens := filepath.Join(b.dir, "token")
	args = append([]string{"--against", other.url, "--against-token-file", tokens, "--turns", fmt.Sprint(b.turns)}, args...)
	return b.load(ctx, s, args...)
}
