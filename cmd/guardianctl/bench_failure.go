package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// failure is what a run that did measure ends with, nil when all went well.
func (r benchResult) failure(plan benchPlan) error {
	sum, counts := int64(0), map[string]int64{}
	for _, target := range r.Targets {
		sum += target.Requests + target.Failed
		for _, o := range target.Operations {
			for code, count := range o.Failed {
				counts[code] += count
			}
		}
	}
	if len(counts) == 0 {
		return leftError(r.Left, plan.keep)
	}
	failed, worst := int64(0), ""
	for _, code := range slices.Sorted(maps.Keys(counts)) {
		failed += counts[code]
		if worst == "" || counts[code] > counts[worst] {
			worst = code
		}
	}
	err := fmt.Errorf("%d of %d requests failed, most with %s", failed, sum, worst)
	exit := exitFailure
	if counts[codeWrong] > 0 {
		exit, worst = exitVerification, codeWrong
	}
	if left := leftError(r.Left, plan.keep); left != nil {
		err = fmt.Errorf("%w; and %w", err, left)
	}
	return &advisedError{exit, err, benchAdvice(worst, plan)}
}

func leftError(left []benchLeft, kept bool) error {
	if len(left) == 0 || kept {
		return nil
	}
	var parts []string
	for _, l := range left {
		parts = append(parts, fmt.Sprintf("%d on %s (%.16s...)", len(l.Identities), l.Guardian, l.Identities[0]))
	}
	return failure(fmt.Errorf("identities of this run could not be deleted: %s", strings.Join(parts, ", ")),
		"each takes the room of one share; --json lists them, for guardianctl shares purge on the guardian's storage")
}

// benchAdvice is what to do about requests that failed with a code.
func benchAdvice(code string, plan benchPlan) string {
	switch code {
	case "rate_limited":
		return fmt.Sprintf("that is a limit of the guardian and not its speed: for the run set its GUARDIAN_RATE_LIMIT_PER_ADDRESS=0, or name this machine in GUARDIAN_RATE_LIMIT_EXEMPT, and with tokens GUARDIAN_MAX_IN_FLIGHT_PER_ACTOR=%d or more; or pass a --rate below its limits", plan.connections)
	case "token_required", "token_invalid":
		return "give the bearer token with --token-file, and that of other guardians with --against-token-file"
	case "ownership_required":
		return "leave out --bare: these guardians want proofs"
	case "ownership_invalid":
		return "name each guardian as its operator does (or set its GUARDIAN_AUDIENCES), and set this machine's clock; where proofs are not required --bare sends none"
	case "overloaded":
		return "pass fewer --connections, or set the guardian's GUARDIAN_MAX_REQUESTS"
	case "quota_exceeded":
		return "pass a smaller --size, or set the guardian's GUARDIAN_QUOTA_BYTES"
	case codeWrong:
		return "a guardian that gives something else than was stored must not be used: see its log, and guardianctl scrub"
	case codeTimeout, codeSilent:
		return "see the guardian's log: it ended, or did not answer within --timeout; with fewer --connections or a lower --rate it may"
	}
	return "see the guardian's log for what it refused"
}
