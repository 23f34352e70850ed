package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// A proof of ownership is taken for 120 s around the guardian's clock.
	skewWarn = 5 * time.Second
	skewFail = time.Minute
	// A certificate that lasts less than these, or than a part of its own life, is
	// near its end.
	certificateWarn = 21 * 24 * time.Hour
	certificateFail = 3 * 24 * time.Hour

	day = 24 * time.Hour
)

// oneByOne examines the guardians that answered. The soundness of all is one line;
// otherwise each that is not sound has one.
func oneByOne(visits []visited, allSound finding, examine func(visited) finding) (all []finding) {
	for _, v := range visits {
		if !v.answered() {
			continue
		}
		if f := examine(v); f.Verdict != verdictOK {
			f.Check, f.About = allSound.Check, v.view.Guardian
			all = append(all, f)
		}
	}
	if all == nil && slices.ContainsFunc(visits, visited.answered) {
		return []finding{allSound}
	}
	return all
}

func reachable(visits []visited) (all []finding) {
	answered := 0
	for _, v := range visits {
		switch {
		case v.answered():
			answered++
		case v.untrusted == nil: // else its certificate is what is told
			all = append(all, finding{"reachable", verdictFail, v.view.Guardian, problems([]error{v.view.Err})[0].Error, adviceUnreached(stateOf(v.view.Err))})
		}
	}
	if answered == len(visits) {
		return []finding{sound("reachable", "%d of %d guardians answer", answered, len(visits))}
	}
	return all
}

func adviceUnreached(state string) string {
	switch state {
	case stateWrongURL:
		return "give the guardian's URL without a path such as /v1"
	case stateRefused, stateInvalid:
		return "see what answers there: it is no guardian of this version, or something stands before it"
	}
	return "start it, or look into its log for why it ended; if it runs, see why its address cannot be reached from here"
}

func clocks(visits []visited) []finding {
	if ours := commonSkew(visits); ours != 0 {
		return []finding{{"clock", verdictOf(ours), "", "this machine's clock is " + ahead(-ours) + ", by all guardians'", "set this machine's clock (NTP)"}}
	}
	return oneByOne(visits, sound("clock", "all within %v of this machine's", skewWarn), func(v visited) finding {
		return finding{
			Verdict: verdictOf(v.skew), Found: "its clock is " + ahead(v.skew) + ", by this machine's",
			Next: "set the clock of its machine (NTP): ownership proofs hold for 120 s, and leases go by it",
		}
	})
}

func verdictOf(skew time.Duration) verdict {
	switch skew = skew.Abs(); {
	case skew >= skewFail:
		return verdictFail
	case skew >= skewWarn:
		return verdictWarn
	}
	return verdictOK
}

func ahead(skew time.Duration) string {
	if skew < 0 {
		return skew.Abs().Round(time.Second).String() + " behind"
	}
	return skew.Round(time.Second).String() + " ahead"
}

// commonSkew is the least by which all of several guardians are ahead of us, or
// behind: then it is our clock. It is 0 where they are not.
func commonSkew(visits []visited) (least time.Duration) {
	answered := 0
	for _, v := range visits {
		if !v.answered() {
			continue
		}
		if verdictOf(v.skew) == verdictOK || answered > 0 && (v.skew > 0) != (least > 0) {
			return 0
		}
		if answered++; answered == 1 || v.skew.Abs() < least.Abs() {
			least = v.skew
		}
	}
	if answered < 2 {
		return 0
	}
	return least
}

func certificates(visits []visited) []finding {
	var refused []finding
	var first *x509.Certificate
	for _, v := range visits {
		if v.untrusted != nil {
			refused = append(refused, finding{"certificate", verdictFail, v.view.Guardian, v.untrusted.Error(), adviceUntrusted(v.untrusted)})
		}
		if v.certificate != nil && (first == nil || v.certificate.NotAfter.Before(first.NotAfter)) {
			first = v.certificate
		}
	}
	allSound := sound("certificate", "no TLS: they are on this machine")
	if first != nil {
		allSound = sound("certificate", "the first one to expire does so on %s", first.NotAfter.UTC().Format(time.DateOnly))
	}
	found := oneByOne(visits, allSound, certificate)
	if refused != nil && len(found) == 1 && found[0].Verdict == verdictOK {
		return refused
	}
	return append(refused, found...)
}

func adviceUntrusted(err error) string {
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "renew it where GUARDIAN_TLS_CERT_FILE points to: the guardian takes it within seconds; if it is not yet valid, set this machine's clock"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "name the guardian as its certificate does, or have one made for this name"
	}
	return "name the authority that signed it with --ca-file"
}

func certificate(v visited) finding {
	if v.certificate == nil {
		return encrypted(v.view.Guardian)
	}
	left, life := time.Until(v.certificate.NotAfter), v.certificate.NotAfter.Sub(v.certificate.NotBefore)
	f := finding{
		Verdict: verdictOK, Found: fmt.Sprintf("a certificate of its chain expires on %s, in %d days", v.certificate.NotAfter.UTC().Format(time.DateOnly), left/day),
		Next: "renew it, and see why that was not done by itself: the guardian reads the files of GUARDIAN_TLS_CERT_FILE and GUARDIAN_TLS_KEY_FILE again when they change",
	}
	switch {
	case left < min(certificateFail, life/10):
		f.Verdict = verdictFail
	case left < min(certificateWarn, life/4):
		f.Verdict = verdictWarn
	}
	return f
}

// encrypted wants TLS for what leaves this machine.
func encrypted(guardian string) finding {
	at, err := url.Parse(guardian)
	if err != nil {
		return finding{Verdict: verdictFail, Found: err.Error(), Next: "correct --guardians"}
	}
	address, err := netip.ParseAddr(at.Hostname())
	if err == nil && address.IsLoopback() || strings.EqualFold(at.Hostname(), "localhost") {
		return finding{Verdict: verdictOK}
	}
	return finding{
		Verdict: verdictWarn, Found: "spoken to without TLS: who is on the way reads tokens and shares",
		Next: "give the guardian GUARDIAN_TLS_CERT_FILE and GUARDIAN_TLS_KEY_FILE, or put what ends TLS right before it, and use https",
	}
}

func storages(visits []visited) []finding {
	return oneByOne(visits, sound("storage", "all are ready, and their storage answers"), func(v visited) finding {
		switch status := plain(v.view.Status.Status); {
		case v.unready != "":
			return finding{Verdict: verdictFail, Found: "not ready: " + v.unready, Next: "unless it is just stopping, look into its log: disk full, mount or bucket gone, credentials expired"}
		case status == "degraded":
			return finding{Verdict: verdictFail, Found: "degraded: it sees fewer guardians alive than some share needs to be rebuilt", Next: "bring the guardians that are gone back; see the lines about members"}
		case status != "ok":
			return finding{Verdict: verdictFail, Found: "its status is " + status, Next: "look into its log for errors of the storage"}
		}
		return finding{Verdict: verdictOK}
	})
}

func quarantines(visits []visited) []finding {
	return oneByOne(visits, sound("quarantine", "nothing is"), func(v visited) finding {
		if v.view.Status.Quarantined == 0 {
			return finding{Verdict: verdictOK}
		}
		return finding{
			Verdict: verdictFail, Found: fmt.Sprintf("%d identities are damaged there", v.view.Status.Quarantined),
			Next: "on its machine: guardianctl quarantine list; in a cluster they are repaired by themselves: guardianctl repair status; many at once: suspect its disk",
		}
	})
}

func queues(visits []visited) []finding {
	return oneByOne(visits, sound("repair", "nothing waits for it"), func(v visited) finding {
		if v.view.Status.RepairQueue == 0 {
			return finding{Verdict: verdictOK}
		}
		return finding{
			Verdict: verdictWarn, Found: fmt.Sprintf("%d wait for repair", v.view.Status.RepairQueue),
			Next: "look again in some minutes; if it does not fall, on its machine: guardianctl repair status",
		}
	})
}
