package deploy_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/oasdiff/yaml"
)

// The part that is used here of what Kubernetes takes, as for the guardian itself.
type (
	cronJob struct {
		object
		Spec struct {
			Schedule, TimeZone, ConcurrencyPolicy              string
			StartingDeadlineSeconds                            int
			SuccessfulJobsHistoryLimit, FailedJobsHistoryLimit int
			JobTemplate                                        struct {
				Spec struct {
					BackoffLimit, ActiveDeadlineSeconds int
					Template                            struct {
						Metadata metadata
						Spec     jobPod
					}
				}
			}
		}
	}
	jobPod struct {
		pod
		RestartPolicy              string
		InitContainers, Containers []jobContainer
		Volumes                    []struct {
			Name   string
			Secret struct {
				SecretName  string
				DefaultMode int
				Items       []struct{ Key, Path string }
			}
		}
	}
	jobContainer struct {
		podContainer
		Command, Args []string
	}
)

// schedules is what deploy/kubernetes/backup.yaml holds.
type schedules struct {
	account serviceAccount
	jobs    map[string]*cronJob
	network networkPolicy
}

func readSchedules(t *testing.T) (s schedules) {
	t.Helper()
	text, err := os.ReadFile("kubernetes/backup.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s.jobs = map[string]*cronJob{}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		document, err := yaml.YAMLToJSON(document)
		if err != nil {
			t.Fatal(err)
		}
		var o object
		if err := json.Unmarshal(document, &o); err != nil {
			t.Fatal(err)
		}
		switch kind := o.APIVersion + " " + o.Kind; kind {
		case "v1 ServiceAccount":
			decodeStrictly(t, kind, document, &s.account)
		case "batch/v1 CronJob":
			job := &cronJob{}
			decodeStrictly(t, kind, document, job)
			s.jobs[o.Metadata.Name] = job
		case "networking.k8s.io/v1 NetworkPolicy":
			decodeStrictly(t, kind, document, &s.network)
		default:
			t.Fatalf("%s is not known here", kind)
		}
		if o.Metadata.Name == "" || o.Metadata.Namespace != "guardian-g1" {
			t.Errorf("%s is %q in %q", o.Kind, o.Metadata.Name, o.Metadata.Namespace)
		}
	}
	return s
}

// TestBackupJobs: a full backup on Sundays, an incremental one on each other day, and
// a drill, before which nothing is removed; none of them twice at once, and as pods of
// the guardian are, but for those that the Service takes for its own.
func TestBackupJobs(t *testing.T) {
	s, guardian := readSchedules(t), readManifests(t)
	for name, want := range map[string]struct {
		schedule string
		commands []string
	}{
		"guardian-backup-full":        {"0 2 * * 0", []string{"backup full --to s3://example-guardian-backups/production"}},
		"guardian-backup-incremental": {"0 2 * * 1-6", []string{"backup incremental --to s3://example-guardian-backups/production"}},
		"guardian-drill": {"0 12 1 * *", []string{
			"drill --from s3://example-guardian-backups/production",
			"backup cleanup --from s3://example-guardian-backups/production --retention-days 30",
		}},
	} {
		job := s.jobs[name]
		if job == nil || len(s.jobs) != 3 {
			t.Fatalf("there are %v", slices.Sorted(maps.Keys(s.jobs)))
		}
		template := job.Spec.JobTemplate.Spec.Template
		if job.Spec.Schedule != want.schedule || job.Spec.TimeZone != "Etc/UTC" || job.Spec.ConcurrencyPolicy != "Forbid" || template.Spec.RestartPolicy != "Never" {
			t.Errorf("%s: %+v", name, job.Spec)
		}
		containers := slices.Concat(template.Spec.InitContainers, template.Spec.Containers)
		for i, c := range containers {
			if i >= len(want.commands) || strings.Join(c.Args, " ") != want.commands[i] || !slices.Equal(c.Command, []string{"/bin/guardianctl"}) {
				t.Errorf("%s runs %v", name, c.Args)
			}
			checkJobContainer(t, c, guardian)
		}
		checkJobPod(t, template.Spec, s)
		labels := template.Metadata.Labels
		if !maps.Equal(labels, s.network.Spec.PodSelector.MatchLabels) || maps.Equal(labels, guardian.service.Spec.Selector) {
			t.Errorf("%s is labelled %v", name, labels)
		}
	}
	if len(s.network.Spec.Ingress) != 0 || !slices.Equal(s.network.Spec.PolicyTypes, []string{"Ingress", "Egress"}) {
		t.Errorf("others can call them: %+v", s.network.Spec)
	}
}

// checkJobContainer wants what the guardian's own container has.
func checkJobContainer(t *testing.T, c jobContainer, guardian manifests) {
	t.Helper()
	own := guardian.deployment.Spec.Template.Spec.Containers[0]
	if c.Image != own.Image || c.EnvFrom[0].ConfigMapRef.Name != guardian.variables.Metadata.Name || c.VolumeMounts[0].MountPath != "/etc/guardian" || !c.VolumeMounts[0].ReadOnly {
		t.Errorf("%s is not set up as the guardian: %+v", c.Name, c)
	}
	security := c.SecurityContext
	if !isFalse(security.AllowPrivilegeEscalation) || !security.ReadOnlyRootFilesystem || !slices.Equal(security.Capabilities.Drop, []string{"ALL"}) || c.Resources.Limits["memory"] == "" {
		t.Errorf("%s may do more than it must: %+v", c.Name, c)
	}
}

// checkJobPod wants a pod as restricted as the guardian's, with the integrity key and
// no other secret.
func checkJobPod(t *testing.T, p jobPod, s schedules) {
	t.Helper()
	security := p.SecurityContext
	if p.ServiceAccountName != s.account.Metadata.Name || !isFalse(p.AutomountServiceAccountToken) || !isFalse(s.account.AutomountServiceAccountToken) || !isFalse(p.EnableServiceLinks) ||
		!security.RunAsNonRoot || security.RunAsUser != 65532 || security.FSGroup != 65532 || security.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("pods may do more than they must: %+v", p)
	}
	secret := p.Volumes[0].Secret
	if secret.DefaultMode&0o337 != 0 || len(secret.Items) != 1 || secret.Items[0].Key != "integrity.key" || secret.Items[0].Path != "integrity.key" {
		t.Errorf("the pods have %+v", secret)
	}
}

// TestBackupUnits: the services are as hardened as the guardian's, and the timers start
// them as often as the documents say. make test-deploy has systemd look at them.
func TestBackupUnits(t *testing.T) {
	own := unitLines(t, "guardian.service")
	for file, want := range map[string][]string{
		"guardian-backup@.service": {"ExecStart=/usr/local/bin/guardianctl backup %i --to ${BACKUPS} $ADMIN"},
		"guardian-drill.service": {
			"ExecStart=/usr/local/bin/guardianctl drill --from ${BACKUPS}",
			"ExecStart=/usr/local/bin/guardianctl backup cleanup --from ${BACKUPS} --retention-days 30",
		},
	} {
		lines := unitLines(t, file)
		for _, line := range own {
			setting, _, _ := strings.Cut(line, "=")
			ofSandbox := strings.HasPrefix(setting, "Protect") || strings.HasPrefix(setting, "Private") || strings.HasPrefix(setting, "Restrict") ||
				strings.HasPrefix(setting, "SystemCall") || slices.Contains([]string{"User", "Group", "UMask", "ReadWritePaths", "NoNewPrivileges", "CapabilityBoundingSet", "LockPersonality", "MemoryDenyWriteExecute", "MemorySwapMax", "LimitCORE", "RemoveIPC"}, setting)
			if ofSandbox && !slices.Contains(lines, line) {
				t.Errorf("%s has no line %s", file, line)
			}
		}
		var commands []string
		for _, line := range lines {
			if strings.HasPrefix(line, "ExecStart") {
				commands = append(commands, line)
			}
		}
		if !slices.Equal(commands, want) || !slices.Contains(lines, "Type=oneshot") || !slices.Contains(lines, "EnvironmentFile=/etc/guardian/guardian.env") {
			t.Errorf("%s runs %v", file, commands)
		}
	}
	for file, want := range map[string][]string{
		"guardian-backup-full.timer":        {"OnCalendar=Sun *-*-* 02:00:00 UTC", "Unit=guardian-backup@full.service"},
		"guardian-backup-incremental.timer": {"OnCalendar=Mon..Sat *-*-* 02:00:00 UTC", "Unit=guardian-backup@incremental.service"},
		"guardian-drill.timer":              {"OnCalendar=*-*-01 12:00:00 UTC", "Unit=guardian-drill.service"},
	} {
		lines := unitLines(t, file)
		for _, line := range append(want, "Persistent=yes", "WantedBy=timers.target") {
			if !slices.Contains(lines, line) {
				t.Errorf("%s has no line %s", file, line)
			}
		}
	}
	if files, err := filepath.Glob("systemd/*"); err != nil || len(files) != 7 {
		t.Errorf("found %v, %v", files, err)
	}
}

func unitLines(t *testing.T, file string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("systemd", file))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(text), "\n")
}
