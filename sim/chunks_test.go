package sim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// chunk is how many runs a process makes.
const chunk = 200

// runChunks has other processes of this binary make the runs, some at a time.
func runChunks(t *testing.T) {
	began := time.Now()
	todo := make(chan uint64)
	var mu sync.Mutex
	var total counts
	var workers sync.WaitGroup
	for range *procs {
		workers.Go(func() {
			for seed := range todo {
				made := runChunk(t, seed, min(chunk, int(*first+uint64(*runs)-seed)))
				mu.Lock()
				total.add(made)
				t.Logf("%d runs in %v", total.Runs, time.Since(began).Round(time.Second))
				mu.Unlock()
			}
		})
	}
	for seed := *first; seed < *first+uint64(*runs) && !t.Failed(); seed += chunk {
		todo <- seed
	}
	close(todo)
	workers.Wait()
	t.Logf("in %v: %v", time.Since(began).Round(time.Second), total)
}

func runChunk(t *testing.T, seed uint64, count int) (made counts) {
	file := filepath.Join(t.TempDir(), fmt.Sprint(seed))
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.timeout=0",
		"-sim.procs=1", fmt.Sprint("-sim.seed=", seed), fmt.Sprint("-sim.runs=", count), "-sim.figures="+file)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		t.Errorf("runs from seed %d: %v\n%s", seed, err, output.Bytes())
	}
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, &made)
	}
	if err != nil {
		t.Errorf("figures of the runs from seed %d: %v", seed, err)
	}
	return made
}

func (c counts) write(t *testing.T, file string) {
	data, err := json.Marshal(c)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Error(err)
	}
}
