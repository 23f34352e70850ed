module github.com/vault-guardian/guardian/bench

go 1.26.0

require (
	github.com/hashicorp/vault v1.13.12
	github.com/vault-guardian/guardian v0.0.0-00010101000000-000000000000
)

require golang.org/x/sys v0.49.0

replace github.com/vault-guardian/guardian => ../
