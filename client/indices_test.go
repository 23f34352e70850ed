package client_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/client"
	"github.com/vault-guardian/guardian/envelope"
	"github.com/vault-guardian/guardian/guardiantest"
)

func TestSharesAtTheirIndices(t *testing.T) {
	t.Parallel()
	root, err := envelope.FromKeyFile([]byte("a key of thirty-two bytes, a key"))
	if err != nil {
		t.Fatal(err)
	}
	cluster := guardiantest.New(t, 5)
	urls, indices := cluster.URLs(), []int{1, 2, 4, 9, 255}
	vault, err := client.NewVault(urls, nil, 0, client.WithRoot(root), client.WithIndices(indices))
	if err != nil {
		t.Fatal(err)
	}
	store := func(want int) {
		t.Helper()
		if report, err := vault.Store(t.Context(), root.Identity(), []byte("secret")); err != nil || report.Got != want {
			t.Fatalf("stored by %d: %v", report.Got, err)
		}
		report, err := vault.Verify(t.Context(), root.Identity())
		if err != nil {
			t.Fatal(err)
		}
		for i, g := range report.Guardians {
			if g.X != 0 && g.X != indices[i] {
				t.Errorf("guardian %d has the share at x = %d, not %d", i, g.X, indices[i])
			}
		}
	}
	store(5)
	// One that does not say which node it is, is known by its index.
	cluster.Stop(2)
	fresh, err := client.NewVault(urls, nil, 0, client.WithRoot(root), client.WithIndices(indices))
	if err != nil {
		t.Fatal(err)
	}
	vault = fresh
	store(4)
	cluster.Start(2)
	// The order of the list means nothing then, for the index goes along.
	slices.Reverse(urls)
	slices.Reverse(indices)
	vault, err = client.NewVault(urls, nil, 0, client.WithRoot(root), client.WithIndices(indices))
	if err != nil {
		t.Fatal(err)
	}
	store(5)
	secret, _, err := vault.Pull(t.Context(), root.Identity())
	if err != nil || string(secret) != "secret" {
		t.Errorf("recovered %q, %v", secret, err)
	}
}

func TestIndicesRefused(t *testing.T) {
	t.Parallel()
	urls := []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}
	for want, indices := range map[string][]int{
		"share index 0 is not 1 to 255":       {0, 1, 2},
		"share index -1 is not 1 to 255":      {1, -1, 2},
		"share index 256 is not 1 to 255":     {1, 2, 256},
		"share index 257 is not 1 to 255":     {1, 257, 2},
		"share index 4 is given twice":        {4, 2, 4},
		"2 share indices for 3 guardians":     {1, 2},
		"0 share indices for 3 guardians":     {},
		"4 share indices for 3 guardians: gi": {1, 2, 3, 4},
	} {
		if vault, err := client.NewVault(urls, nil, 0, client.WithIndices(indices)); err == nil || vault != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", indices, err, want)
		}
	}
	if _, err := client.NewVault(urls, nil, 0, client.WithIndices(nil)); err != nil {
		t.Error(err)
	}
}
