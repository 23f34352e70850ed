package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/vault-guardian/guardian/api"
	"github.com/vault-guardian/guardian/client"
)

// Tables have a column for epochs where some share was redistributed.
func TestEpochsAreShown(t *testing.T) {
	t.Parallel()
	at := func(version, epoch uint64) client.PullAnswer {
		return client.PullAnswer{Guardian: "http://g", State: client.StateGood, Version: &version, Epoch: epoch, X: 7}
	}
	missing := client.PullAnswer{Guardian: "http://h", State: client.StateMissing}
	report := client.VerifyReport{Version: 3, Epoch: 2, Threshold: 4, Holders: 5, Good: 5, ByPayload: true, Guardians: []client.PullAnswer{at(3, 2), missing}}
	var out bytes.Buffer
	if err := printVerified(&out, false, resultOf(report)); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"GUARDIAN  STATE    VERSION  EPOCH  SHARE  DETAIL\n",
		"http://g  good     3        2      x=7    -\n",
		"http://h  missing  -        -      -      -\n",
		"version 3 at epoch 2: 5 of 5 shares are good, 4 rebuild it\n",
		"conspire",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("verify prints no %q:\n%s", line, &out)
		}
	}
	out.Reset()
	if err := printVerified(&out, true, resultOf(report)); err != nil || strings.Count(out.String(), `"epoch": 2`) != 2 || !strings.Contains(out.String(), `"by_payload": true`) {
		t.Errorf("verify --json: %v\n%s", err, &out)
	}
}

func TestEpochsInHistory(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		versions []api.VersionInfo
		want     string
	}{
		"none": {[]api.VersionInfo{{Version: 3, Size: 9}}, "GUARDIAN  VERSION  BYTES  SINCE\ng         3        9      -\nh         -        gone   -\n"},
		"one": {
			[]api.VersionInfo{{Version: 3, Size: 9}, {Version: 2, Epoch: 11, Size: 8}},
			"GUARDIAN  VERSION  EPOCH  BYTES  SINCE\ng         3        0      9      -\ng         2        11     8      -\nh         -        -      gone   -\n",
		},
	} {
		var out bytes.Buffer
		if err := printVersions(&out, []guardianVersions{{Guardian: "g", Versions: test.versions}, {Guardian: "h", State: "gone"}}); err != nil || out.String() != test.want {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
	}
}

func TestEpochOfARecovery(t *testing.T) {
	t.Parallel()
	report := client.PullReport{Version: 3, Epoch: 2, Threshold: 3, Used: 5, Checked: true, Manifest: true, ByPayload: true}
	var text, result bytes.Buffer
	cmd := &cobra.Command{}
	cmd.SetErr(&text)
	cmd.SetOut(&result)
	var r recoverCommand
	if err := r.print(cmd, report, 17, byManifest); err != nil || !strings.Contains(text.String(), "recovered version 3 at epoch 2 (17 bytes) from 5 shares") || !strings.Contains(text.String(), "warning: "+framed) {
		t.Errorf("recover: %v\n%s", err, &text)
	}
	r.json = true
	if err := r.print(cmd, report, 17, byManifest); err != nil || !strings.Contains(result.String(), `"epoch": 2`) {
		t.Errorf("recover --json: %v\n%s", err, &result)
	}
}

func TestAdmissionKeyOf(t *testing.T) {
	t.Parallel()
	nobody, err := admissionKeyOf(noAdmission)
	if err != nil || nobody == nil || len(nobody) != 0 {
		t.Errorf("nobody's key is %v, %v", nobody, err)
	}
	for _, text := range []string{"", "none ", "NONE", strings.Repeat("0", 63), strings.Repeat("0", 66), strings.Repeat("g", 64), t.TempDir(), "\x00"} {
		if key, err := admissionKeyOf(text); err == nil || key != nil {
			t.Errorf("%q is %v", text, key)
		}
		if _, explained := errors.AsType[*advisedError](errorOf(admissionKeyOf(text))); !explained {
			t.Errorf("%q: nothing is advised", text)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
