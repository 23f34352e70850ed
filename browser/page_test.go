package browser

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// browser is a tab whose complaints are kept.
type browser struct {
	ctx context.Context

	mu         sync.Mutex
	complaints []string // what the console would show, and requests that failed or went elsewhere
	origin     string
}

func open(t *testing.T) *browser {
	t.Helper()
	options := chromedp.DefaultExecAllocatorOptions[:]
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox)
	}
	allocated, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, closeTab := chromedp.NewContext(allocated)
	t.Cleanup(closeTab)
	b := &browser{ctx: ctx}
	chromedp.ListenTarget(ctx, b.hear)
	if err := chromedp.Run(ctx, network.Enable()); err != nil {
		t.Fatalf("starting Chromium (Debian's packages: chromium, fonts-dejavu): %v", err)
	}
	return b
}

func (b *browser) hear(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	note := func(format string, args ...any) { b.complaints = append(b.complaints, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *log.EventEntryAdded:
		note("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
	case *runtime.EventConsoleAPICalled:
		note("console.%s", e.Type)
	case *runtime.EventExceptionThrown:
		note("exception: %s", e.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, b.origin) && !strings.HasPrefix(url, "data:") {
			note("asks for %s", url)
		}
	case *network.EventLoadingFailed:
		note("loading failed: %s", e.ErrorText)
	}
}

func (b *browser) run(t *testing.T, actions ...chromedp.Action) {
	t.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		t.Fatal(err)
	}
}

// look opens a page so wide, in light or dark.
func (b *browser) look(t *testing.T, url string, width int64, scheme string) {
	t.Helper()
	b.mu.Lock()
	b.origin = url
	b.mu.Unlock()
	b.run(t,
		emulation.SetDeviceMetricsOverride(width, 900, 1, width < 600),
		emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}),
		chromedp.Navigate(url), chromedp.WaitVisible("main", chromedp.ByQuery))
}

func (b *browser) text(t *testing.T) (text string) {
	t.Helper()
	b.run(t, chromedp.Text("body", &text, chromedp.ByQuery))
	return text
}

func (b *browser) evaluate(t *testing.T, expression string, value any) {
	t.Helper()
	b.run(t, chromedp.Evaluate(expression, value))
}

// eventually looks until the page says all of it.
func (b *browser) eventually(t *testing.T, url string, want ...string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		b.look(t, url, 1600, "light")
		text := b.text(t)
		if !slices.ContainsFunc(want, func(w string) bool { return !strings.Contains(text, w) }) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never said %q:\n%s", want, text)
		}
	}
}

func (b *browser) complained(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, complaint := range b.complaints {
		t.Error(complaint)
	}
}

// screenshot keeps what is seen, in GUARDIAN_TEST_SCREENSHOTS if that is set.
func (b *browser) screenshot(t *testing.T, name string) {
	t.Helper()
	var picture []byte
	b.run(t, chromedp.FullScreenshot(&picture, 100))
	dir := os.Getenv("GUARDIAN_TEST_SCREENSHOTS")
	if dir == "" {
		dir = t.TempDir()
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), picture, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fits checks a page that was looked at: nothing is cut off at its side, and it is
// as light or as dark as was asked for.
func (b *browser) fits(t *testing.T, scheme string) {
	t.Helper()
	var overflow int
	b.evaluate(t, `document.documentElement.scrollWidth - document.documentElement.clientWidth`, &overflow)
	if overflow > 0 {
		t.Errorf("it is %d pixels wider than the window", overflow)
	}
	var paper, ink int
	const brightness = `getComputedStyle(document.body).%s.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0)`
	b.evaluate(t, fmt.Sprintf(brightness, "backgroundColor"), &paper)
	b.evaluate(t, fmt.Sprintf(brightness, "color"), &ink)
	if dark := scheme == "dark"; (paper < ink) != dark {
		t.Errorf("in %s the paper has %d and the ink %d", scheme, paper, ink)
	}
}

// named checks that whoever hears the page is told what everything is.
func (b *browser) named(t *testing.T) {
	t.Helper()
	type value struct {
		Value string `json:"value"`
	}
	// Not all that a newer Chromium answers is known to package accessibility.
	var tree struct {
		Nodes []struct {
			Ignored bool  `json:"ignored"`
			Role    value `json:"role"`
			Name    value `json:"name"`
		} `json:"nodes"`
	}
	b.run(t, chromedp.ActionFunc(func(ctx context.Context) error {
		return cdp.Execute(ctx, "Accessibility.getFullAXTree", nil, &tree)
	}))
	seen := map[string]int{}
	for _, node := range tree.Nodes {
		if node.Ignored {
			continue
		}
		role := node.Role.Value
		seen[role]++
		if node.Name.Value == "" && slices.Contains([]string{"RootWebArea", "heading", "link", "region", "table", "columnheader", "rowheader"}, role) {
			t.Errorf("a %s has no name", role)
		}
	}
	for _, role := range []string{"main", "banner", "heading", "region", "link"} {
		if seen[role] == 0 {
			t.Errorf("there is no %s: %v", role, seen)
		}
	}
}

func TestPageInChromium(t *testing.T) {
	program := build(t)
	alone := launch(t, program, t.TempDir(), "local")
	cluster := fiveGuardians(t, program)
	b := open(t)
	all := func(name, url string) {
		t.Helper()
		for _, width := range []int64{400, 1600} {
			for _, scheme := range []string{"light", "dark"} {
				b.look(t, url, width, scheme)
				b.fits(t, scheme)
				b.named(t)
				b.screenshot(t, fmt.Sprintf("%s-%d-%s", name, width, scheme))
			}
		}
		b.complained(t)
	}

	b.eventually(t, alone.url, "this guardian is alone", "Nothing needs attention.")
	all("alone", alone.url)
	b.eventually(t, cluster[0].url, "5 of 5", "Nothing needs attention.", "region-2")
	all("healthy", cluster[0].url)

	// It is live: nobody loads it again.
	b.look(t, cluster[0].url, 1600, "light")
	for _, gone := range cluster[2:] {
		gone.kill()
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	err := chromedp.Run(ctx, chromedp.ActionFunc(func(ctx context.Context) error {
		for {
			var text string
			// Between two pages there is none to be asked.
			if chromedp.Evaluate(`document.body ? document.body.innerText : ""`, &text).Do(ctx) == nil && strings.Contains(text, "Dead: g3, g4, g5.") {
				return nil
			}
			if err := chromedp.Sleep(200 * time.Millisecond).Do(ctx); err != nil {
				return err
			}
		}
	}))
	if err != nil {
		t.Fatalf("it does not show by itself who is dead: %v", err)
	}
	all("degraded", cluster[0].url)

	// And says the same without scripts.
	b.run(t, emulation.SetScriptExecutionDisabled(true))
	b.look(t, cluster[0].url+"?live=off", 400, "light")
	if text := b.text(t); !strings.Contains(text, "Dead: g3, g4, g5.") || !strings.Contains(text, "Show it live") {
		t.Errorf("without scripts it says\n%s", text)
	}
	b.complained(t)
}
