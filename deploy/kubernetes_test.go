package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/oasdiff/yaml"

	"github.com/vault-guardian/guardian/api"
)

// The part that is used here of what Kubernetes takes, in the types that it takes.
// Whatever else is in the manifests, a misspelt field too, is an error.
type (
	object struct {
		APIVersion, Kind string
		Metadata         metadata
	}
	metadata struct {
		Name, Namespace     string
		Labels, Annotations map[string]string
	}
	selector struct{ MatchLabels map[string]string }

	serviceAccount struct {
		object
		AutomountServiceAccountToken *bool
	}
	configMap struct {
		object
		Data map[string]string
	}
	deployment struct {
		object
		Spec struct {
			Replicas int
			Strategy struct {
				Type          string
				RollingUpdate struct{ MaxUnavailable, MaxSurge int }
			}
			Selector selector
			Template struct {
				Metadata metadata
				Spec     pod
			}
		}
	}
	pod struct {
		ServiceAccountName                               string
		AutomountServiceAccountToken, EnableServiceLinks *bool
		TerminationGracePeriodSeconds                    int
		SecurityContext                                  struct {
			RunAsNonRoot                   bool
			RunAsUser, RunAsGroup, FSGroup int
			SeccompProfile                 struct{ Type string }
		}
		TopologySpreadConstraints []struct {
			MaxSkew                        int
			TopologyKey, WhenUnsatisfiable string
			LabelSelector                  selector
		}
		Containers []podContainer
		Volumes    []struct {
			Name   string
			Secret struct {
				SecretName  string
				DefaultMode int
			}
		}
	}
	podContainer struct {
		Name, Image string
		EnvFrom     []struct{ ConfigMapRef struct{ Name string } }
		Ports       []struct {
			Name          string
			ContainerPort int
		}
		StartupProbe, LivenessProbe, ReadinessProbe probe
		Resources                                   struct{ Requests, Limits map[string]string }
		SecurityContext                             struct {
			AllowPrivilegeEscalation *bool
			ReadOnlyRootFilesystem   bool
			Capabilities             struct{ Drop []string }
		}
		VolumeMounts []struct {
			Name, MountPath string
			ReadOnly        bool
		}
	}
	probe struct {
		HTTPGet                                         struct{ Path, Port string }
		PeriodSeconds, TimeoutSeconds, FailureThreshold int
	}
	podService struct {
		object
		Spec struct {
			ClusterIP                string
			PublishNotReadyAddresses bool
			Selector                 map[string]string
			Ports                    []struct {
				Name, TargetPort string
				Port             int
			}
		}
	}
	disruptionBudget struct {
		object
		Spec struct {
			MinAvailable int
			Selector     selector
		}
	}
	networkPolicy struct {
		object
		Spec struct {
			PodSelector     selector
			PolicyTypes     []string
			Ingress, Egress []struct {
				From  []struct{ NamespaceSelector selector }
				Ports []struct {
					Protocol string
					Port     int
				}
			}
		}
	}
)

// manifests is what deploy/kubernetes/guardian.yaml holds.
type manifests struct {
	namespace      object
	account        serviceAccount
	variables      configMap
	deployment     deployment
	service, admin podService
	budget         disruptionBudget
	network        networkPolicy
}

func readManifests(t *testing.T) (m manifests) {
	t.Helper()
	text, err := os.ReadFile("kubernetes/guardian.yaml")
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]any{
		"v1 Namespace guardian-g1": &m.namespace, "v1 ServiceAccount guardian": &m.account, "v1 ConfigMap guardian": &m.variables,
		"apps/v1 Deployment guardian": &m.deployment, "v1 Service guardian": &m.service, "v1 Service guardian-admin": &m.admin,
		"policy/v1 PodDisruptionBudget guardian": &m.budget, "networking.k8s.io/v1 NetworkPolicy guardian": &m.network,
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		document, err := yaml.YAMLToJSON(document)
		if err != nil {
			t.Fatal(err)
		}
		var o object
		if err := json.Unmarshal(document, &o); err != nil {
			t.Fatal(err)
		}
		kind := o.APIVersion + " " + o.Kind + " " + o.Metadata.Name
		if missing[kind] == nil {
			t.Fatalf("%s is not known here, or there twice", kind)
		}
		decodeStrictly(t, kind, document, missing[kind])
		delete(missing, kind)
		if o.Kind != "Namespace" && o.Metadata.Namespace != "guardian-g1" {
			t.Errorf("%s is in %q", kind, o.Metadata.Namespace)
		}
	}
	if len(missing) > 0 {
		t.Fatalf("missing are %v", sortedKeys(missing))
	}
	return m
}

// TestManifestsFitTogether: everything selects the pods that there are, and names the
// ports that they have.
func TestManifestsFitTogether(t *testing.T) {
	m := readManifests(t)
	template := m.deployment.Spec.Template
	for what, selected := range map[string]map[string]string{
		"the deployment": m.deployment.Spec.Selector.MatchLabels, "the service": m.service.Spec.Selector, "its admin plane": m.admin.Spec.Selector,
		"the budget": m.budget.Spec.Selector.MatchLabels, "the network policy": m.network.Spec.PodSelector.MatchLabels,
		"the spread": template.Spec.TopologySpreadConstraints[0].LabelSelector.MatchLabels,
	} {
		if len(selected) == 0 || !maps.Equal(selected, template.Metadata.Labels) {
			t.Errorf("%s selects %v, the pods are %v", what, selected, template.Metadata.Labels)
		}
	}
	c := template.Spec.Containers[0]
	ports := slices.Concat(m.service.Spec.Ports, m.admin.Spec.Ports)
	var admitted []int
	for _, rule := range m.network.Spec.Ingress {
		for _, port := range rule.Ports {
			admitted = append(admitted, port.Port)
		}
	}
	if len(ports) != len(c.Ports) || len(admitted) != len(c.Ports) {
		t.Fatalf("ports %v, %v, %v", ports, admitted, c.Ports)
	}
	for i, port := range c.Ports {
		if s := ports[i]; s.TargetPort != port.Name || s.Port != port.ContainerPort || admitted[i] != s.Port {
			t.Errorf("port %v is %v in a service, %d in the policy", port, s, admitted[i])
		}
	}
	if c.EnvFrom[0].ConfigMapRef.Name != m.variables.Metadata.Name || template.Spec.ServiceAccountName != m.account.Metadata.Name {
		t.Error("the pod names what is not there")
	}
	for i, volume := range template.Spec.Volumes {
		if c.VolumeMounts[i].Name != volume.Name || !c.VolumeMounts[i].ReadOnly || volume.Secret.DefaultMode&0o337 != 0 {
			t.Errorf("volume %+v is mounted as %+v", volume, c.VolumeMounts[i])
		}
	}
}

// TestAdminPlaneIsForMonitoring: it listens where the pods of the namespace monitoring
// reach it, each replica, and nobody else does.
func TestAdminPlaneIsForMonitoring(t *testing.T) {
	m := readManifests(t)
	port := m.admin.Spec.Ports[0].Port
	if bind := m.variables.Data["GUARDIAN_ADMIN_BIND"]; bind != fmt.Sprintf("0.0.0.0:%d", port) {
		t.Errorf("the admin plane listens at %s, the service is for %d", bind, port)
	}
	if s := m.admin.Spec; s.ClusterIP != "None" || !s.PublishNotReadyAddresses {
		t.Errorf("not every replica is found: %+v", s)
	}
	rules := m.network.Spec.Ingress
	if len(rules) != 2 || len(rules[0].From) != 0 || len(rules[1].From) != 1 || rules[1].Ports[0].Port != port ||
		rules[1].From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "monitoring" {
		t.Errorf("let in are %+v", rules)
	}
}

// TestPodsAreReplacedWithoutAGap: a node may be drained, a replica replaced, and
// requests end before the kill.
func TestPodsAreReplacedWithoutAGap(t *testing.T) {
	m := readManifests(t)
	spec := m.deployment.Spec
	if spec.Strategy.RollingUpdate.MaxUnavailable != 0 || m.budget.Spec.MinAvailable < 1 || m.budget.Spec.MinAvailable >= spec.Replicas {
		t.Errorf("%d replicas, %+v, at least %d available", spec.Replicas, spec.Strategy, m.budget.Spec.MinAvailable)
	}
	const drain = 26 * time.Second // as cmd/guardian does, notice included
	if grace := time.Duration(spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second; grace < drain+5*time.Second {
		t.Errorf("killed %v after the signal to stop", grace)
	}
	c := spec.Template.Spec.Containers[0]
	for name, probe := range map[string]struct {
		probe
		path string
	}{
		"startup": {c.StartupProbe, api.RouteHealthz}, "liveness": {c.LivenessProbe, api.RouteHealthz}, "readiness": {c.ReadinessProbe, api.RouteReadyz},
	} {
		if probe.HTTPGet.Path != probe.path || probe.HTTPGet.Port != c.Ports[0].Name || probe.PeriodSeconds < 1 || probe.FailureThreshold < 1 {
			t.Errorf("the %s probe is %+v, not of %s", name, probe.probe, probe.path)
		}
	}
}

// TestPodsAreRestricted: as the namespace demands, by the pod security standard
// "restricted", and no more than a guardian needs.
func TestPodsAreRestricted(t *testing.T) {
	m := readManifests(t)
	pod := m.deployment.Spec.Template.Spec
	s, c := pod.SecurityContext, pod.Containers[0].SecurityContext
	if m.namespace.Metadata.Labels["pod-security.kubernetes.io/enforce"] != "restricted" || len(pod.Containers) != 1 ||
		!s.RunAsNonRoot || s.RunAsUser != 65532 || s.RunAsGroup != 65532 || s.FSGroup != 65532 || s.SeccompProfile.Type != "RuntimeDefault" ||
		!isFalse(c.AllowPrivilegeEscalation) || !c.ReadOnlyRootFilesystem || !slices.Equal(c.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("pods may do more than they must: %+v %+v", s, c)
	}
	if !isFalse(pod.AutomountServiceAccountToken) || !isFalse(m.account.AutomountServiceAccountToken) || !isFalse(pod.EnableServiceLinks) {
		t.Error("pods can call the cluster's API, or are told of its services")
	}
	if pod.Containers[0].Resources.Limits["memory"] != "512Mi" {
		t.Errorf("memory is limited to %q", pod.Containers[0].Resources.Limits["memory"])
	}
}

func isFalse(b *bool) bool { return b != nil && !*b }
