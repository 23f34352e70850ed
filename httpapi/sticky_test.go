package httpapi_test

import (
	"fmt"
	"testing"

	"github.com/vault-guardian/guardian/auth"
	"github.com/vault-guardian/guardian/backend"
)

// replicas are two planes of one node, and a way to restart both.
type replicas struct {
	store    backend.Backend
	options  []option
	one, two *plane
}

func startReplicas(t *testing.T, store backend.Backend, options ...option) *replicas {
	r := &replicas{store: store, options: options}
	r.restart(t)
	return r
}

func (r *replicas) restart(t *testing.T) {
	r.one = startOver(t, setup{store: r.store}, r.options...)
	r.two = startOver(t, setup{store: r.store}, r.options...)
}

func (r *replicas) each(f func(*plane)) {
	f(r.one)
	f(r.two)
}

// refusedAt wants every V1 call refused that is made with a proof of a version.
func (o owner) refusedAt(t *testing.T, p *plane, proof int, code string) {
	t.Helper()
	for name, call := range map[string]v1{
		"push":    {verb: auth.Push, version: 1 << 60, share: "other", proof: proof},
		"pull":    {verb: auth.Pull, proof: proof},
		"history": {verb: auth.Pull, history: true, proof: proof},
		"delete":  {verb: auth.Delete, version: 1, proof: proof},
		"stale":   {verb: auth.Push, version: 0, share: "share", proof: proof},
	} {
		wants(t, fmt.Sprintf("%s with proof %d", name, proof), o.v1(t, p, call), 401, code)
	}
}

// nameRefusedAt is refusedAt for V2.
func (o owner) nameRefusedAt(t *testing.T, p *plane, proof int, code string) {
	t.Helper()
	session := p.session(t, o.id)
	for name, call := range map[string]v2{
		"put":      {method: "PUT", name: "name", version: 1 << 60, share: "other"},
		"get":      {method: "GET", name: "name"},
		"versions": {method: "GET", name: "name", versions: true},
		"delete":   {method: "DELETE", name: "name"},
		"list":     {method: "GET"},
	} {
		call.proof, call.session = proof, session
		wants(t, fmt.Sprintf("%s with proof %d", name, proof), o.v2(t, p, call), 401, code)
	}
}

func TestBareStaysBare(t *testing.T) {
	for storage, open := range storages {
		t.Run(storage, func(t *testing.T) {
			r := startReplicas(t, open(t))
			o := newOwner()
			wants(t, "push", o.v1(t, r.one, v1{verb: auth.Push, version: 1, share: "share"}), 200, "")
			wants(t, "pull", o.v1(t, r.two, v1{verb: auth.Pull}), 200, "")
			// Reading with a proof binds nobody.
			wants(t, "pull", o.v1(t, r.two, v1{verb: auth.Pull, proof: 2}), 200, "")
			r.restart(t)
			wants(t, "push", o.v1(t, r.two, v1{verb: auth.Push, version: 2, share: "share"}), 200, "")
			wants(t, "history", o.v1(t, r.one, v1{verb: auth.Pull, history: true}), 200, "")
			wants(t, "delete", o.v1(t, r.one, v1{verb: auth.Delete, version: 2}), 200, "")
			wants(t, "push", o.v1(t, r.two, v1{verb: auth.Push, version: 3, share: "share"}), 200, "")
		})
	}
}

// What was once written with a proof never goes without one again: on every
// replica, after restarts, deletes and newer versions.
func TestOnceProvedNeverBare(t *testing.T) {
	for storage, open := range storages {
		for proof := 1; proof <= 2; proof++ {
			t.Run(fmt.Sprintf("%s/proof %d", storage, proof), func(t *testing.T) {
				r := startReplicas(t, open(t))
				o := newOwner()
				refused := func() {
					t.Helper()
					r.each(func(p *plane) { o.refusedAt(t, p, 0, "ownership_required") })
				}
				wants(t, "bare push", o.v1(t, r.one, v1{verb: auth.Push, version: 1, share: "share"}), 200, "")
				wants(t, "bare pull", o.v1(t, r.two, v1{verb: auth.Pull}), 200, "")
				wants(t, "push", o.v1(t, r.one, v1{verb: auth.Push, version: 2, share: "share", proof: proof}), 200, "")
				refused()
				wants(t, "push", o.v1(t, r.two, v1{verb: auth.Push, version: 3, share: "share", proof: proof}), 200, "")
				refused()
				wants(t, "delete", o.v1(t, r.two, v1{verb: auth.Delete, version: 3, proof: proof}), 200, "")
				refused()
				r.restart(t)
				refused()
				wants(t, "pull of the deleted", o.v1(t, r.one, v1{verb: auth.Pull, proof: proof}), 404, "not_found")
				wants(t, "push", o.v1(t, r.one, v1{verb: auth.Push, version: 4, share: "share", proof: proof}), 200, "")
				refused()
				wants(t, "pull", o.v1(t, r.two, v1{verb: auth.Pull, proof: proof}), 200, "")
			})
		}
	}
}

func TestOnceVersion2NeverVersion1(t *testing.T) {
	for storage, open := range storages {
		for mode := range modes {
			if mode == "off" {
				continue
			}
			t.Run(storage+"/"+mode, func(t *testing.T) {
				r := startReplicas(t, open(t), withOwnership(modes[mode]))
				o := newOwner()
				refused := func() {
					t.Helper()
					r.each(func(p *plane) {
						o.refusedAt(t, p, 1, "ownership_invalid")
						o.nameRefusedAt(t, p, 1, "ownership_invalid")
					})
				}
				session := r.one.session(t, o.id)
				write := func(p *plane, proof int, version uint64) {
					t.Helper()
					wants(t, "push", o.v1(t, p, v1{verb: auth.Push, version: version, share: "share", proof: proof}), 200, "")
					wants(t, "put", o.v2(t, p, v2{method: "PUT", name: "name", version: version, share: "share", proof: proof, session: session}), 200, "")
				}
				write(r.one, 1, 1)
				wants(t, "pull with version 2", o.v1(t, r.two, v1{verb: auth.Pull, proof: 2}), 200, "")
				write(r.one, 1, 2)
				write(r.one, 2, 3)
				refused()
				write(r.two, 2, 4)
				wants(t, "delete", o.v1(t, r.two, v1{verb: auth.Delete, version: 4, proof: 2}), 200, "")
				wants(t, "delete", o.v2(t, r.two, v2{method: "DELETE", name: "name", proof: 2, session: session}), 200, "")
				refused()
				r.restart(t)
				refused()
				write(r.one, 2, 5)
				// Another name of the identity stands for itself.
				other := v2{method: "PUT", name: "other", version: 1, share: "share", proof: 1, session: session}
				wants(t, "put of another name", o.v2(t, r.two, other), 200, "")
			})
		}
	}
}

func TestOldestProof(t *testing.T) {
	p := start(t, nil, withOldestProof(2))
	o := newOwner()
	o.refusedAt(t, p, 1, "ownership_invalid")
	o.nameRefusedAt(t, p, 1, "ownership_invalid")
	wants(t, "push", o.v1(t, p, v1{verb: auth.Push, version: 1, share: "share", proof: 2}), 200, "")
}

func TestManifestOnceManifestAlways(t *testing.T) {
	for mode := range modes {
		t.Run(mode, func(t *testing.T) {
			r := startReplicas(t, storages["memory"](t), withOwnership(modes[mode]))
			o := newOwner()
			session := r.one.session(t, o.id)
			write := func(p *plane, version uint64, manifest bool, status int, code string) {
				t.Helper()
				push := v1{verb: auth.Push, version: version, share: "share", proof: 2}
				put := v2{method: "PUT", name: "name", version: version, share: "share", proof: 2, session: session}
				if manifest {
					push.manifest, put.manifest = o.manifest(t, "", version, "share"), o.manifest(t, "name", version, "share")
				}
				wants(t, "push", o.v1(t, p, push), status, code)
				wants(t, "put", o.v2(t, p, put), status, code)
			}
			write(r.one, 1, false, 200, "")
			write(r.one, 2, true, 200, "")
			write(r.two, 3, false, 400, "invalid_manifest")
			write(r.two, 2, false, 409, "version_conflict")
			wants(t, "delete", o.v1(t, r.two, v1{verb: auth.Delete, version: 2, proof: 2}), 200, "")
			wants(t, "delete", o.v2(t, r.two, v2{method: "DELETE", name: "name", proof: 2, session: session}), 200, "")
			r.restart(t)
			write(r.one, 3, false, 400, "invalid_manifest")
			write(r.one, 3, true, 200, "")
		})
	}
}
