package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vault-guardian/guardian/api"
)

// taskDefinition is the part that is used here of what RegisterTaskDefinition of ECS
// takes, in the types that it takes: cpu and memory are strings, ports are numbers.
type taskDefinition struct {
	Family                        string
	RequiresCompatibilities       []string
	NetworkMode, CPU, Memory      string
	RuntimePlatform               struct{ CPUArchitecture, OperatingSystemFamily string }
	ExecutionRoleArn, TaskRoleArn string
	Volumes                       []struct{ Name string }
	ContainerDefinitions          []container
}

type container struct {
	Name, Image, User      string
	Essential              bool
	ReadonlyRootFilesystem bool
	LinuxParameters        struct{ Capabilities struct{ Drop []string } }
	Ulimits                []struct {
		Name                 string
		SoftLimit, HardLimit int
	}
	DependsOn    []struct{ ContainerName, Condition string }
	StopTimeout  int
	PortMappings []struct {
		Name, Protocol string
		ContainerPort  int
	}
	EntryPoint, Command []string
	Environment         []struct{ Name, Value string }
	Secrets             []struct{ Name, ValueFrom string }
	MountPoints         []struct {
		SourceVolume, ContainerPath string
		ReadOnly                    bool
	}
	HealthCheck struct {
		Command                                 []string
		Interval, Timeout, Retries, StartPeriod int
	}
	LogConfiguration struct {
		LogDriver string
		Options   map[string]string
	}
}

// service is that of CreateService.
type service struct {
	Cluster, ServiceName, TaskDefinition, LaunchType, PropagateTags string
	DesiredCount, HealthCheckGracePeriodSeconds                     int
	DeploymentConfiguration                                         struct {
		MinimumHealthyPercent, MaximumPercent int
		DeploymentCircuitBreaker              struct{ Enable, Rollback bool }
	}
	NetworkConfiguration struct {
		AwsvpcConfiguration struct {
			Subnets, SecurityGroups []string
			AssignPublicIP          string
		}
	}
	LoadBalancers []struct {
		TargetGroupArn, ContainerName string
		ContainerPort                 int
	}
}

// targetGroup is that of CreateTargetGroup of Elastic Load Balancing, version 2.
type targetGroup struct {
	Name, Protocol, ProtocolVersion, VpcID, TargetType    string
	Port                                                  int
	HealthCheckProtocol, HealthCheckPort, HealthCheckPath string
	HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds int
	HealthyThresholdCount, UnhealthyThresholdCount        int
	Matcher                                               struct{ HTTPCode string }
}

// ingress is that of AuthorizeSecurityGroupIngress of EC2.
type ingress struct {
	GroupID       string
	IPPermissions []struct {
		IPProtocol       string
		FromPort, ToPort int
		UserIDGroupPairs []struct{ GroupID, Description string }
	}
}

// readTask returns the container that writes the files of the admin plane, and the guardian.
func readTask(t *testing.T) (files, guardian container) {
	t.Helper()
	var task taskDefinition
	readStrictly(t, "ecs/task-definition.json", &task)
	if c := task.ContainerDefinitions; len(c) != 2 || c[0].Name != "admin-files" || c[1].Name != "guardian" || len(task.Volumes) != 1 {
		t.Fatalf("containers %+v, volumes %+v", c, task.Volumes)
	}
	if !isFargate(task) {
		t.Errorf("Fargate knows no such task: %+v", task)
	}
	if task.TaskRoleArn == task.ExecutionRoleArn {
		t.Error("the guardian has the role that starts it")
	}
	for _, c := range task.ContainerDefinitions {
		if m := c.MountPoints; len(m) != 1 || m[0].SourceVolume != task.Volumes[0].Name {
			t.Errorf("%s mounts %+v", c.Name, m)
		}
	}
	return task.ContainerDefinitions[0], task.ContainerDefinitions[1]
}

// isFargate says whether Fargate runs a task of that size: "Amazon ECS task definition
// parameters for Fargate", task size. More than 1 vCPU is nothing for a guardian.
func isFargate(task taskDefinition) bool {
	sizes := map[string][]string{
		"256": {"512", "1024", "2048"}, "512": {"1024", "2048", "3072", "4096"},
		"1024": {"2048", "3072", "4096", "5120", "6144", "7168", "8192"},
	}
	return slices.Contains(sizes[task.CPU], task.Memory) && task.NetworkMode == "awsvpc" && slices.Equal(task.RequiresCompatibilities, []string{"FARGATE"})
}

func (c container) variables() map[string]string {
	vars := map[string]string{}
	for _, v := range c.Environment {
		vars[v.Name] = v.Value
	}
	return vars
}

// TestTask: nothing that the container need not have.
func TestTask(t *testing.T) {
	_, c := readTask(t)
	if !c.Essential || !c.ReadonlyRootFilesystem || c.User != "65532:65532" || !slices.Equal(c.LinuxParameters.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("the container may do more than it must: %+v", c)
	}
	h := c.HealthCheck
	if !slices.Equal(h.Command, []string{"CMD", "/bin/guardian", "healthcheck"}) || h.Timeout >= h.Interval {
		t.Errorf("health is asked by %+v", h)
	}
	// Of HealthCheck and of ContainerDefinition in the API reference.
	for what, v := range map[string]struct{ value, least, most int }{
		"interval": {h.Interval, 5, 300}, "timeout": {h.Timeout, 2, 60}, "retries": {h.Retries, 1, 10},
		"startPeriod": {h.StartPeriod, 0, 300}, "stopTimeout": {c.StopTimeout, 31, 120},
	} {
		if v.value < v.least || v.value > v.most {
			t.Errorf("%s is %d, not from %d to %d", what, v.value, v.least, v.most)
		}
	}
}

// TestAdminFiles: what the guardian's admin plane needs as files comes from secrets, is
// there before it starts, and is its user's alone.
func TestAdminFiles(t *testing.T) {
	files, guardian := readTask(t)
	if d := guardian.DependsOn; files.Essential || len(d) != 1 || d[0].ContainerName != files.Name || d[0].Condition != "SUCCESS" {
		t.Errorf("the guardian waits for %+v", d)
	}
	if !files.ReadonlyRootFilesystem || files.MountPoints[0].ReadOnly || !guardian.MountPoints[0].ReadOnly {
		t.Errorf("mounted are %+v and %+v", files.MountPoints, guardian.MountPoints)
	}
	dir, reads := t.TempDir(), readPolicy(t, "ecs/execution-role-policy.json")["ReadAdminFiles"]
	// Only root can give files away.
	script := strings.NewReplacer("cd "+files.MountPoints[0].ContainerPath, "cd "+dir, "chown "+guardian.User, "ls").Replace(files.Command[0])
	write := exec.CommandContext(t.Context(), files.EntryPoint[0], append(files.EntryPoint[1:], script)...)
	for _, secret := range files.Secrets {
		write.Env = append(write.Env, secret.Name+"=of "+secret.Name)
		name, random := secret.ValueFrom[:len(secret.ValueFrom)-len("-AbCdEf")], "-??????"
		if !slices.Contains(reads.Resource, name+random) {
			t.Errorf("the role that starts the task may not read %s", secret.ValueFrom)
		}
	}
	write.Env = append(write.Env, "PATH="+os.Getenv("PATH"))
	if out, err := write.CombinedOutput(); err != nil || len(reads.Resource) != len(files.Secrets) {
		t.Fatalf("%v\n%s%v", err, out, reads)
	}
	vars := guardian.variables()
	for variable, want := range map[string]string{
		"GUARDIAN_ADMIN_TOKENS_FILE": "of TOKENS", "GUARDIAN_ADMIN_TLS_CERT_FILE": "of CERTIFICATE", "GUARDIAN_ADMIN_TLS_KEY_FILE": "of KEY",
	} {
		name, err := filepath.Rel(guardian.MountPoints[0].ContainerPath, vars[variable])
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, name))
		if info, statErr := os.Stat(filepath.Join(dir, name)); err != nil || statErr != nil || string(text) != want || info.Mode().Perm() != 0o600 {
			t.Errorf("%s holds %q: %v, %v", name, text, err, statErr)
		}
	}
}

// TestBalancers: they pass on the ports that clients and guardians use, and ask for its
// health where the guardian answers. The admin plane is behind none.
func TestBalancers(t *testing.T) {
	var s service
	readStrictly(t, "ecs/service.json", &s)
	var client, peer targetGroup
	readStrictly(t, "ecs/target-group.json", &client)
	readStrictly(t, "ecs/target-group-peer.json", &peer)
	for _, group := range []targetGroup{client, peer} {
		if group.HealthCheckPath != api.RouteHealthz || group.HealthCheckProtocol != "HTTP" || group.TargetType != "ip" {
			t.Errorf("health is asked by %+v", group)
		}
	}
	if client.HealthCheckPort != "traffic-port" || peer.HealthCheckPort != "7500" || peer.Protocol != "TCP" {
		t.Errorf("got %+v and %+v", client, peer)
	}
	_, c := readTask(t)
	if len(s.LoadBalancers) != 2 || len(c.PortMappings) != 3 {
		t.Fatalf("%d balancers for %d ports", len(s.LoadBalancers), len(c.PortMappings))
	}
	for i, port := range []int{client.Port, peer.Port} {
		if b := s.LoadBalancers[i]; b.ContainerName != c.Name || b.ContainerPort != port || c.PortMappings[i].ContainerPort != port {
			t.Errorf("port %d: %+v, %+v", port, b, c.PortMappings[i])
		}
	}
	if d := s.DeploymentConfiguration; d.MinimumHealthyPercent < 100 || !d.DeploymentCircuitBreaker.Rollback {
		t.Errorf("a deployment takes replicas away: %+v", d)
	}
}

// TestSecurityGroup: every port of the task is for those who need it, and the admin plane
// listens on the one that is for the group of Prometheus.
func TestSecurityGroup(t *testing.T) {
	var group ingress
	readStrictly(t, "ecs/security-group.json", &group)
	_, c := readTask(t)
	if len(group.IPPermissions) != len(c.PortMappings) {
		t.Fatalf("%d rules for %d ports", len(group.IPPermissions), len(c.PortMappings))
	}
	for i, rule := range group.IPPermissions {
		if port := c.PortMappings[i]; rule.IPProtocol != port.Protocol || rule.FromPort != port.ContainerPort || rule.ToPort != port.ContainerPort || len(rule.UserIDGroupPairs) == 0 {
			t.Errorf("port %+v is let in by %+v", port, rule)
		}
	}
	admin := group.IPPermissions[2]
	if bind := c.variables()["GUARDIAN_ADMIN_BIND"]; bind != "0.0.0.0:"+strconv.Itoa(admin.FromPort) || len(admin.UserIDGroupPairs) != 1 {
		t.Errorf("the admin plane listens at %s and is for %+v", bind, admin)
	}
}
