// Package docs holds what the programs carry of the documentation.
package docs

import _ "embed"

// OpenAPI describes the client plane as this build serves it.
//
//go:embed openapi.yaml
var OpenAPI []byte
