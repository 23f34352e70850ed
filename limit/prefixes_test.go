package limit_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/limit"
)

func TestParsePrefixes(t *testing.T) {
	for list, want := range map[string][]string{
		"":                           nil,
		" \t":                        nil,
		"10.0.0.0/8":                 {"10.0.0.0/8"},
		"10.0.0.0/8, ::1":            {"10.0.0.0/8", "::1/128"},
		"192.0.2.1,2001:db8::/32":    {"192.0.2.1/32", "2001:db8::/32"},
		" 192.0.2.1 ,\n192.0.2.1/32": {"192.0.2.1/32", "192.0.2.1/32"},
		"0.0.0.0/0,::/0":             {"0.0.0.0/0", "::/0"},
		"2001:DB8::7":                {"2001:db8::7/128"},
	} {
		got, err := limit.ParsePrefixes(list)
		if err != nil {
			t.Errorf("%q: %v", list, err)
		}
		if text := fmt.Sprint(got); text != fmt.Sprint(want) {
			t.Errorf("%q is %s, want %v", list, text, want)
		}
	}
}

func TestParsePrefixesRefuses(t *testing.T) {
	for list, reason := range map[string]string{
		",":                         "an element of the list is empty",
		"10.0.0.0/8,":               "an element of the list is empty",
		"10.0.0.0/8,,::1":           "an element of the list is empty",
		"10.0.0.1/8":                `"10.0.0.1/8" is an address inside a range: write 10.0.0.0/8 for the range or 10.0.0.1 for the address`,
		"::1, 2001:db8::1/32":       `"2001:db8::1/32" is an address inside a range: write 2001:db8::/32 for`,
		"10.0.0.0/33":               `"10.0.0.0/33" is neither`,
		"10.0.0.0/-1":               `"10.0.0.0/-1" is neither`,
		"10.0.0.0/08":               `"10.0.0.0/08" is neither`,
		"10.0.0.0/255.0.0.0":        "is neither",
		"10.0.0":                    `"10.0.0" is neither an address nor a range such as 10.0.0.0/8 or 2001:db8::/32`,
		"010.0.0.1":                 "is neither",
		"10.0.0.0/8 ::1":            "is neither",
		"10.0.0.0/8;::1":            "is neither",
		"10.0.0.1:80":               "is neither",
		"[::1]":                     "is neither",
		"localhost":                 "is neither",
		"*":                         "is neither",
		"fe80::1%eth0":              `"fe80::1%eth0" is neither`,
		"fe80::%eth0/64":            "is neither",
		"::ffff:10.0.0.0/104":       `"::ffff:10.0.0.0/104" is IPv4 written as IPv6: write it as IPv4`,
		"::ffff:10.0.0.1":           "write it as IPv4",
		"192.0.2.1, ::ffff:0:0/96 ": `"::ffff:0:0/96" is IPv4 written as IPv6`,
	} {
		got, err := limit.ParsePrefixes(list)
		if err == nil || !strings.Contains(err.Error(), reason) || got != nil {
			t.Errorf("%q: %v, %v; want %q", list, got, err, reason)
		}
	}
}

func FuzzParsePrefixes(f *testing.F) {
	f.Add("10.0.0.0/8, ::1")
	f.Add("::ffff:10.0.0.1,fe80::1%eth0,10.1.0.0/8,")
	f.Fuzz(func(t *testing.T, list string) {
		prefixes, err := limit.ParsePrefixes(list)
		if err != nil {
			return
		}
		var texts []string
		for _, p := range prefixes {
			if p != p.Masked() || !p.Contains(p.Addr()) || p.Addr().Is4In6() {
				t.Errorf("%q has %v", list, p)
			}
			texts = append(texts, p.String())
		}
		again, err := limit.ParsePrefixes(strings.Join(texts, ","))
		if err != nil || !slices.Equal(again, prefixes) {
			t.Errorf("%v is read back as %v, %v", prefixes, again, err)
		}
	})
}
