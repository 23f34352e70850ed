package deploy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/backend"
	"github.com/vault-guardian/guardian/backend/location"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// TestTaskRoleIsEnough: on a real server the storage works with what the task's role may
// do, not with anything less, and not at another guardian's prefix.
func TestTaskRoleIsEnough(t *testing.T) {
	policy, server := readPolicy(t, "ecs/task-role-policy.json"), s3test.Versity(t)
	bucket := server.NewBucket(t)
	allowed := func(without string) (permissions []s3test.Permission) {
		for _, s := range []statement{policy["OwnObjects"], policy["ListOwnObjects"]} {
			actions := slices.DeleteFunc(slices.Clone(s.Action), func(action string) bool { return action == without })
			resource := strings.Replace(s.Resource[0], "example-guardian-g1", bucket, 1)
			if len(actions) > 0 {
				permissions = append(permissions, s3test.Permission{Action: actions, Resource: []string{resource}})
			}
		}
		return permissions
	}
	use := func(without, node string) error {
		for _, variable := range server.Allowed(t, bucket, allowed(without)...).Environ() {
			name, value, _ := strings.Cut(variable, "=")
			t.Setenv(name, value)
		}
		return useStorage(t, "s3://"+bucket+"/production", node)
	}
	if err := use("", "g1"); err != nil {
		t.Errorf("the role is not enough: %v", err)
	}
	if use("", "g2") == nil {
		t.Error("the role of g1 is enough for g2")
	}
	for _, action := range slices.Concat(policy["OwnObjects"].Action, policy["ListOwnObjects"].Action) {
		if use(action, "g1") == nil {
			t.Errorf("the role is enough without %s", action)
		}
	}
}

// useStorage does with a storage all that there is to do.
func useStorage(t *testing.T, at, node string) error {
	t.Helper()
	where, err := location.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	store, err := where.Open(t.Context(), location.Options{NodeID: node})
	if err != nil {
		return err
	}
	rev, err := store.Put(t.Context(), "shares/a", []byte("data"), backend.Revision{})
	if err != nil {
		return err
	}
	if _, _, err := store.Get(t.Context(), "shares/absent"); !errors.Is(err, backend.ErrNotFound) {
		return err
	}
	for _, err := range store.List(t.Context(), "shares/", "") {
		if err != nil {
			return err
		}
	}
	if err := store.Delete(t.Context(), "shares/a", rev); err != nil {
		return err
	}
	return store.Delete(t.Context(), "shares/a", backend.AnyRevision)
}
