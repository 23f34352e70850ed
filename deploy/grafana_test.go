package deploy_test

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"testing"
)

// panel is what every panel of a dashboard has that Grafana draws as it is meant.
type panel struct {
	ID          int
	Type, Title string
	Description string
	Collapsed   bool
	Datasource  datasource
	GridPos     struct{ X, Y, W, H int }
	FieldConfig struct{ Defaults struct{ Unit string } }
	Options     map[string]any
	Targets     []target
}

type target struct {
	RefID, Expr, LegendFormat string
	Datasource                datasource
}

type datasource struct{ Type, UID string }

// TestDashboard: Grafana cannot be had where this is tested, so this is what its schema
// says of panels. That their queries parse and name metrics is tested in cmd/guardian.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("grafana/guardians.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Title, UID    string
		SchemaVersion int
		Templating    struct{ List []struct{ Name string } }
		Panels        []panel
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	if dashboard.Title == "" || dashboard.UID == "" || len(dashboard.UID) > 40 || dashboard.SchemaVersion < 36 { // of which on data sources are objects
		t.Errorf("got %q, %q, schema %d", dashboard.Title, dashboard.UID, dashboard.SchemaVersion)
	}
	variables := []string{"__rate_interval"}
	for _, variable := range dashboard.Templating.List {
		variables = append(variables, variable.Name)
	}
	used := regexp.MustCompile(`\$\{?(\w+)`)
	for _, found := range used.FindAllSubmatch(text, -1) {
		if !slices.Contains(variables, string(found[1])) {
			t.Errorf("$%s is no variable of the dashboard", found[1])
		}
	}
	for i, p := range dashboard.Panels {
		checkPanel(t, p)
		for _, other := range dashboard.Panels[:i] {
			if a, b := p.GridPos, other.GridPos; other.ID == p.ID || a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%q and %q have one place or one id", p.Title, other.Title)
			}
		}
	}
}

func checkPanel(t *testing.T, p panel) {
	t.Helper()
	if g := p.GridPos; p.ID < 1 || p.Title == "" || g.X < 0 || g.Y < 0 || g.W < 1 || g.H < 1 || g.X+g.W > 24 {
		t.Errorf("panel %d, %q, is at %+v of 24 columns", p.ID, p.Title, g)
	}
	if p.Type == "row" {
		return
	}
	source := datasource{"prometheus", "${datasource}"}
	if !slices.Contains([]string{"stat", "timeseries"}, p.Type) || p.Datasource != source || p.FieldConfig.Defaults.Unit == "" || p.Options == nil || len(p.Targets) == 0 {
		t.Errorf("%q is a %s of %v in %q, with %d queries", p.Title, p.Type, p.Datasource, p.FieldConfig.Defaults.Unit, len(p.Targets))
	}
	var ids []string
	for _, query := range p.Targets {
		if query.Expr == "" || query.RefID == "" || slices.Contains(ids, query.RefID) || query.Datasource != source {
			t.Errorf("%q: query %+v", p.Title, query)
		}
		ids = append(ids, query.RefID)
	}
}
