package deploy_test

import (
	"slices"
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
	StopTimeout  int
	PortMappings []struct {
		Name, Protocol string
		ContainerPort  int
	}
	Environment []struct{ Name, Value string }
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

func readTask(t *testing.T) container {
	t.Helper()
	var task taskDefinition
	readStrictly(t, "ecs/task-definition.json", &task)
	if len(task.ContainerDefinitions) != 1 {
		t.Fatalf("%d containers", len(task.ContainerDefinitions))
	}
	if task.CPU != "256" || task.Memory != "512" || task.NetworkMode != "awsvpc" || !slices.Equal(task.RequiresCompatibilities, []string{"FARGATE"}) {
		t.Errorf("Fargate knows no such task: %+v", task)
	}
	if task.TaskRoleArn == task.ExecutionRoleArn {
		t.Error("the guardian has the role that starts it")
	}
	return task.ContainerDefinitions[0]
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
	c := readTask(t)
	if !c.Essential || !c.ReadonlyRootFilesystem || c.User != "65532:65532" || !slices.Equal(c.LinuxParameters.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("the container may do more than it must: %+v", c)
	}
	if !slices.Equal(c.HealthCheck.Command, []string{"CMD", "/bin/guardian", "healthcheck"}) || c.HealthCheck.Timeout >= c.HealthCheck.Interval {
		t.Errorf("health is asked by %+v", c.HealthCheck)
	}
}

// TestBalancers: they pass on the ports that the container has, and ask for its health
// where the guardian answers.
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
	c := readTask(t)
	if len(s.LoadBalancers) != len(c.PortMappings) {
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
