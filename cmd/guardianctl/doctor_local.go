package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backup/last"
	"github.com/vault-guardian/guardian/repair"
)

const (
	// scrubOverdue is three times what GUARDIAN_SCRUB_INTERVAL is by default.
	scrubOverdue = 3 * day
	keyOld       = 365 * day
)

// examine asks one guardian what it has found in its storage.
func (f *adminFlags) examine(ctx context.Context, now time.Time) []finding {
	var scrub repair.ScrubProgress
	var queue repair.Status
	err := f.get(ctx, scrubPath, &scrub)
	if err == nil {
		err = f.get(ctx, repairPath, &queue)
	}
	if err != nil {
		problem := advised(err)
		return []finding{{"admin", verdictFail, f.url, problem.Error(), problem.advice}}
	}
	return []finding{scrubbed(f.url, scrub, now), repairs(f.url, queue), f.examineBackup(ctx, now)}
}

func scrubbed(about string, p repair.ScrubProgress, now time.Time) finding {
	at := time.Unix(0, p.Last.FinishedNS)
	f := finding{Check: "scrub", Verdict: verdictOK, About: about}
	problem := scrubProblem(p.Last)
	switch {
	case p.Last.FinishedNS == 0:
		f.Found = "none was finished yet"
	case problem != nil:
		f.Verdict, f.Found, f.Next = verdictFail, "the last one: "+problem.Error(), advised(problem).advice
	case now.Sub(at) > scrubOverdue:
		f.Verdict, f.Found = verdictWarn, "none was finished since "+at.UTC().Format(time.RFC3339)
		f.Next = "look into the guardian's log, or lower GUARDIAN_SCRUB_INTERVAL; guardianctl scrub begins one"
	default:
		f.Found = fmt.Sprintf("the last one found %d good and nothing wrong, on %s", p.Last.Good, at.UTC().Format(time.RFC3339))
	}
	return f
}

func repairs(about string, s repair.Status) finding {
	failed := 0
	for _, item := range s.Items {
		if item.LastError != "" {
			failed++
		}
	}
	f := finding{"repair", verdictOK, about, fmt.Sprintf("%d queued", s.Queued), ""}
	if failed > 0 {
		f.Verdict, f.Found = verdictFail, fmt.Sprintf("%d queued, of which %d could not be repaired yet", s.Queued, failed)
		f.Next = "guardianctl repair status says why; bring the guardians that it names back"
	}
	return f
}

const (
	backupPath = "/admin/backup"
	// backupLost is how old the last backup is when two days brought none.
	backupLost = last.TooOld + day
)

func (f *adminFlags) examineBackup(ctx context.Context, now time.Time) finding {
	var state last.State
	if err := f.get(ctx, backupPath, &state); err != nil { // an older guardian does not know
		problem := advised(err)
		return finding{"backup age", verdictWarn, f.url, problem.Error(), problem.advice}
	}
	return backupAge(f.url, state, now)
}

func backupAge(about string, s last.State, now time.Time) finding {
	f := finding{Check: "backup age", Verdict: verdictOK, About: about}
	age := now.Sub(s.Finished())
	switch {
	case s.Problem != "":
		f.Verdict, f.Found = verdictFail, s.Problem
		f.Next = "find out who writes to the storage, set the clock of the machine that makes backups, and make one with guardianctl backup full"
		return f
	case s.FinishedNS == 0:
		f.Verdict, f.Found, f.Next = verdictWarn, "there never was a backup", "make one with guardianctl backup full, and have one made every day"
		return f
	case age > backupLost:
		f.Verdict = verdictFail
	case age > last.TooOld:
		f.Verdict = verdictWarn
	}
	f.Found = fmt.Sprintf("the last one, %s, ended on %s", s.ID, s.Finished().Format(time.RFC3339))
	if f.Verdict != verdictOK {
		f.Next = "see why none was made since, and make one with guardianctl backup incremental"
	}
	return f
}

// secretFile is a file that only its owner may read.
type secretFile struct {
	path string
	// rotates: an old one is to be changed.
	rotates bool
}

// secretVariables are a guardian's, which name files with secrets.
var secretVariables = []string{
	"GUARDIAN_NODE_KEY_FILE", "GUARDIAN_SERVER_BEARER_TOKENS_FILE", "GUARDIAN_TLS_KEY_FILE",
	"GUARDIAN_ADMIN_TOKENS_FILE", "GUARDIAN_ADMIN_TLS_KEY_FILE",
}

// files are all that flags and environment name, none twice.
func (d *doctorCommand) files() (all []secretFile, err error) {
	add := func(path string, rotates bool) {
		if path != "" && !slices.ContainsFunc(all, func(f secretFile) bool { return f.path == path }) {
			all = append(all, secretFile{path, rotates})
		}
	}
	add(os.Getenv("GUARDIAN_INTEGRITY_KEY_FILE"), true)
	add(d.tokenFile, false)
	for _, path := range d.secrets {
		add(path, false)
	}
	for _, variable := range secretVariables {
		add(os.Getenv(variable), false)
	}
	if d.storage == "" {
		return all, nil
	}
	at, err := parseLocation("--storage", d.storage)
	if err != nil || at.Kind() == location.KindS3 {
		return all, err
	}
	if !at.Exists() {
		return nil, notAStorage("--storage", at)
	}
	for _, file := range []secretFile{{at.KeyFile(), true}, {at.NodeKeyFile(), false}} {
		if _, err := os.Lstat(file.path); !errors.Is(err, fs.ErrNotExist) { // it may be kept elsewhere
			add(file.path, file.rotates)
		}
	}
	if at.Kind() == location.KindBolt {
		add(at.Path(), false)
	}
	return all, nil
}

func examineFiles(files []secretFile, now time.Time) (all []finding) {
	for _, file := range files {
		all = append(all, file.examine(now))
	}
	return all
}

func (s secretFile) examine(now time.Time) finding {
	f := finding{"files", verdictFail, shown(s.path), "", "correct its path, or put it back"}
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Found = "it is not there"
	case err != nil:
		f.Found, f.Next = err.Error(), "run this as the user that it belongs to"
	case !info.Mode().IsRegular():
		f.Found = "it is not a regular file"
	case info.Mode().Perm()&0o077 != 0:
		f.Found, f.Next = fmt.Sprintf("others may use it (mode %04o)", info.Mode().Perm()), "chmod 600 "+quoted(s.path)+", and change what is in it if others have had a look"
	case oursAlone(info) != nil:
		f.Verdict, f.Found, f.Next = verdictWarn, oursAlone(info).Error(), "run this as the user that the guardian runs as, or chown it"
	case s.rotates && now.Sub(info.ModTime()) > keyOld:
		f.Verdict, f.Found = verdictWarn, fmt.Sprintf("the key is as it was %d days ago", now.Sub(info.ModTime())/day)
		f.Next = "add a new primary key to it, and guardianctl rekey"
	default:
		f.Verdict, f.Found, f.Next = verdictOK, "only its owner may read it", ""
	}
	return f
}
