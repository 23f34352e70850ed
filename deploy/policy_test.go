// Package deploy_test holds the recipes to their documented shapes and to what the
// guardian does: the permissions they grant, the endpoints they ask, and the names they
// repeat. That the guardian takes their variables is tested in cmd/guardian.
package deploy_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// policy is a document of IAM, of which every element is known.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string
	Effect    string
	Principal json.RawMessage
	Action    list
	Resource  list
	Condition map[string]map[string]list
}

// list is a string or an array of them, as IAM takes either.
type list []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *list) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte(`"`)) {
		*l = make(list, 1)
		return json.Unmarshal(text, &(*l)[0])
	}
	return json.Unmarshal(text, (*[]string)(l))
}

func readStrictly(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	decodeStrictly(t, name, text, into)
}

// decodeStrictly takes one document of JSON, and no field that into has not.
func decodeStrictly(t *testing.T, name string, text []byte, into any) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if decoder.More() {
		t.Fatalf("%s: more than one document", name)
	}
}

func readPolicy(t *testing.T, name string) map[string]statement {
	t.Helper()
	var p policy
	readStrictly(t, name, &p)
	if p.Version != "2012-10-17" || len(p.Statement) == 0 {
		t.Errorf("%s: version %q, %d statements", name, p.Version, len(p.Statement))
	}
	all := map[string]statement{}
	for _, s := range p.Statement {
		if !regexp.MustCompile(`^[A-Za-z0-9]+$`).MatchString(s.Sid) || all[s.Sid].Sid != "" {
			t.Errorf("%s: Sid %q is empty, given twice or has other characters than letters and digits", name, s.Sid)
		}
		if s.Effect != "Allow" && s.Effect != "Deny" || len(s.Action) == 0 {
			t.Errorf("%s: %s: effect %q of %v", name, s.Sid, s.Effect, s.Action)
		}
		all[s.Sid] = s
	}
	return all
}

// The task's role may do what the code does, no more, where the task's variables say.
func TestTaskRoleIsOfLeastPrivilege(t *testing.T) {
	_, task := readTask(t)
	policy, vars := readPolicy(t, "ecs/task-role-policy.json"), task.variables()
	bucket, prefix, _ := strings.Cut(strings.TrimPrefix(vars["GUARDIAN_STORAGE"], "s3://"), "/")
	registry, registryPrefix, _ := strings.Cut(strings.TrimPrefix(vars["GUARDIAN_REGISTRY"], "s3://"), "/")
	own := prefix + "/nodes/" + vars["GUARDIAN_NODE_ID"] + "/*"
	onObjects, onBuckets := actionsOfS3(t)
	var secrets list
	for name, value := range vars {
		if strings.HasSuffix(name, "_AWS_SECRET") {
			secrets = append(secrets, "arn:aws:secretsmanager:eu-central-1:123456789012:secret:"+value+"-??????")
		}
	}
	const arn = "arn:aws:s3:::"
	want := map[string]statement{
		"OwnObjects":     {Action: onObjects, Resource: list{arn + bucket + "/" + own}},
		"ListOwnObjects": {Action: onBuckets, Resource: list{arn + bucket}, Condition: under(own)},
		"Registry":       {Action: onObjects, Resource: list{arn + registry + "/" + registryPrefix + "/*"}},
		"ListRegistry":   {Action: onBuckets, Resource: list{arn + registry}, Condition: under(registryPrefix + "/*")},
		"OwnSecrets":     {Action: list{"secretsmanager:GetSecretValue"}, Resource: secrets},
	}
	if got, want := sortedKeys(policy), sortedKeys(want); !slices.Equal(got, want) {
		t.Fatalf("statements %v, not %v", got, want)
	}
	for sid, want := range want {
		got := policy[sid]
		if got.Effect != "Allow" || !sameSet(got.Action, want.Action) || !sameSet(got.Resource, want.Resource) || asText(t, got.Condition) != asText(t, want.Condition) {
			t.Errorf("%s is\n%s\nnot\n%s", sid, asText(t, got), asText(t, want))
		}
	}
}

func under(prefix string) map[string]map[string]list {
	return map[string]map[string]list{"StringLike": {"s3:prefix": {prefix}}}
}

// actionsOfS3 is what backend/s3 needs, by the calls that are in its code.
func actionsOfS3(t *testing.T) (onObjects, onBuckets list) {
	t.Helper()
	action := map[string]string{
		"GetObject": "s3:GetObject", "HeadObject": "s3:GetObject", "PutObject": "s3:PutObject", "DeleteObject": "s3:DeleteObject",
		"ListObjectsV2": "s3:ListBucket", "NewListObjectsV2Paginator": "s3:ListBucket",
	}
	needed := map[string]bool{}
	for _, call := range callsOfS3(t) {
		if action[call] == "" {
			t.Fatalf("backend/s3 calls %s: say here which permission that takes, and grant it", call)
		}
		needed[action[call]] = true
	}
	for _, name := range sortedKeys(needed) {
		if name == "s3:ListBucket" {
			onBuckets = append(onBuckets, name)
		} else {
			onObjects = append(onObjects, name)
		}
	}
	return onObjects, onBuckets
}

// callsOfS3 is every method called on a field named client, and the paginators.
func callsOfS3(t *testing.T) (calls []string) {
	t.Helper()
	files, err := filepath.Glob("../backend/s3/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no code of backend/s3: %v", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if method, ok := call.Fun.(*ast.SelectorExpr); ok && (isClient(method.X) || strings.HasSuffix(method.Sel.Name, "Paginator")) {
					calls = append(calls, method.Sel.Name)
				}
			}
			return true
		})
	}
	return calls
}

func isClient(x ast.Expr) bool {
	field, ok := x.(*ast.SelectorExpr)
	return ok && field.Sel.Name == "client"
}

// A version is put by compare-and-swap or not at all, and by nobody deleted but an
// operator; what only looks like a version is left alone.
func TestBucketPolicyIsAboutVersions(t *testing.T) {
	policy := readPolicy(t, "ecs/bucket-policy.json")
	put, deleted := policy["VersionsOnlyByCompareAndSwap"], policy["VersionsAreNeverDeletedByGuardians"]
	if want := `{"Null":{"s3:if-match":["true"],"s3:if-none-match":["true"]}}`; asText(t, put.Condition) != want {
		t.Errorf("a put is refused under %s, not %s: only when both headers are missing", asText(t, put.Condition), want)
	}
	if !sameSet(put.Action, list{"s3:PutObject"}) || !sameSet(deleted.Action, list{"s3:DeleteObject", "s3:DeleteObjectVersion"}) {
		t.Errorf("refused are %v and %v", put.Action, deleted.Action)
	}
	id := strings.Repeat("ab", 32)
	for key, version := range map[string]bool{
		"shares/" + id + "/version":                            true,
		"vaults/" + id + "/notes/version":                      true,
		"vaults/" + id + "/version/version":                    true,
		"shares/" + id + "/7-9f3c0d2ab1e4/share.bin":           false,
		"vaults/" + id + "/version/7-9f3c0d2ab1e4/share.bin":   false,
		"quarantine/vaults/" + id + "/version":                 false,
		"queue/items/vaults/" + id + "/version":                false,
		"integrity-canary":                                     false,
		"audit/20260101T000000Z-0011223344556677/000000000001": false,
	} {
		arn := "arn:aws:s3:::example-guardian-g1/production/nodes/g1/" + key
		for _, s := range []statement{put, deleted} {
			if s.Effect != "Deny" || string(s.Principal) != `"*"` || slices.ContainsFunc(s.Resource, func(glob string) bool { return matches(glob, arn) }) != version {
				t.Errorf("%s: %s of %s by %s; is a version: %v", s.Sid, s.Effect, key, s.Principal, version)
			}
		}
	}
}

// matches is IAM's: * stands for anything, slashes too.
func matches(glob, arn string) bool {
	quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(glob))
	return regexp.MustCompile("^" + quoted + "$").MatchString(arn)
}

// No recipe allows everything, and every policy is well-formed.
func TestPolicies(t *testing.T) {
	names, err := filepath.Glob("ecs/*policy.json")
	if err != nil || len(names) != 4 {
		t.Fatalf("found %v, %v", names, err)
	}
	for _, name := range names {
		for sid, s := range readPolicy(t, name) {
			for _, action := range s.Action {
				if s.Effect == "Allow" && strings.Contains(action, "*") {
					t.Errorf("%s: %s allows %s", name, sid, action)
				}
			}
			if s.Effect == "Allow" && slices.Contains(s.Resource, "*") && !sameSet(s.Action, list{"ecr:GetAuthorizationToken"}) {
				t.Errorf("%s: %s allows %v on everything", name, sid, s.Action)
			}
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func sameSet(a, b list) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func asText(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
