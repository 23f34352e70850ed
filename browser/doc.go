// Package browser looks at the operator's web page of real guardians in a real
// Chromium. It is a module of its own, with a dependency that the product must not
// have, and has nothing but a test: make test-browser.
package browser
