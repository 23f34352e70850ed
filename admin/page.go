package admin

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/labstack/echo/v4"
)

//go:embed page.html
var pageText string

//go:embed page.css
var pageStyle string

// page escapes whatever it is given: names come from other guardians.
var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(pageStyle) }, //nolint:gosec // our own file
}).Parse(pageText))

// pagePolicy permits the page's own style, by its digest, and nothing else: no
// script, no frame, no form, nothing from elsewhere.
var pagePolicy = func() string {
	digest := sha256.Sum256([]byte(pageStyle))
	return "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(digest[:]) +
		"'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}()

// refreshSeconds is how old the page gets before the browser asks again.
const refreshSeconds = 10

// shownPage is what the page is made of.
type shownPage struct {
	facts
	Routes  []route
	Refresh int // 0 for a page that stays as it is
}

// frontPage shows how the guardian and its cluster are. It changes nothing.
func (s *server) frontPage(routes []route) echo.HandlerFunc {
	return func(c echo.Context) error {
		shown := shownPage{facts: s.facts(), Routes: routes}
		if c.QueryParam("live") != "off" {
			shown.Refresh = refreshSeconds
		}
		var text bytes.Buffer
		if err := page.Execute(&text, shown); err != nil {
			return err
		}
		header := c.Response().Header()
		for name, value := range map[string]string{
			"Content-Security-Policy": pagePolicy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
		} {
			header.Set(name, value)
		}
		return c.HTMLBlob(http.StatusOK, text.Bytes())
	}
}

// Method, Path and About are what the page says of a route.
func (r route) Method() string { return r.method }

// Path is that of the URL.
func (r route) Path() string { return r.path }

// About is what it does.
func (r route) About() string { return r.about }
