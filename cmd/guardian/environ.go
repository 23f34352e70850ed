package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/caarlos0/env/v11"
	"github.com/joho/godotenv"
)

const prefix = "GUARDIAN_"

// load makes the configuration: the dotenv file, over it the environment, over
// that the flags.
func load(f flags, given func(flag string) bool, environ []string) (*Config, error) {
	vars, source := map[string]string{}, "environment"
	if given("env-file") {
		fromFile, err := godotenv.Read(f.envFile)
		if err != nil {
			return nil, envFileError(f.envFile, err)
		}
		vars, source = fromFile, f.envFile
		if err := exportAWS(fromFile); err != nil {
			return nil, err
		}
	}
	maps.Copy(vars, env.ToMap(environ))
	f.over(vars, given)
	maps.DeleteFunc(vars, func(name, value string) bool {
		return value == "" || !strings.HasPrefix(name, prefix) || isServiceLink(name, value)
	})
	cfg, err := parse(vars)
	err = errors.Join(unknown(vars), err)
	if given("port") {
		err = errors.Join(err, cfg.replacePort(f.port))
	}
	cfg.source = source
	return cfg, err
}

// exportAWS gives the AWS SDK, which reads the environment itself, what the
// dotenv file says to it.
func exportAWS(vars map[string]string) error {
	for name, value := range vars {
		if os.Getenv(name) != "" || !strings.HasPrefix(name, "AWS_") {
			continue
		}
		if err := os.Setenv(name, value); err != nil {
			return fmt.Errorf("--env-file: setting %s: %w", name, err)
		}
	}
	return nil
}

// envFileError leaves out what the parser says, because it quotes the file.
func envFileError(path string, err error) error {
	if pathError, ok := errors.AsType[*os.PathError](err); ok {
		return fmt.Errorf("--env-file: reading %s: %w", path, pathError.Err)
	}
	return fmt.Errorf("--env-file: %s is not made of KEY=value lines", path)
}

func (c *Config) replacePort(port string) error {
	host, _, err := net.SplitHostPort(c.Bind)
	if err != nil {
		return nil // Validate names the bind address
	}
	bind := net.JoinHostPort(host, port)
	if checkBind(bind) != nil {
		return &variableError{"--port", "not a port from 0 to 65535"}
	}
	c.Bind = bind
	return nil
}

// unknown refuses variables that this build does not read: one that was
// misspelt, or that asks for a protection there is none of yet, must not be
// passed over in silence.
func unknown(vars map[string]string) error {
	known := slices.Collect(maps.Values(variables()))
	var all []error
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !slices.Contains(known, name) && !strings.HasPrefix(name, prefix+"TEST_") {
			all = append(all, fmt.Errorf("%s is not a variable of this version", name))
		}
	}
	return errors.Join(all...)
}

// Kubernetes puts variables for every service into the environment of every
// container of its namespace; for a service `guardian-1`:
// GUARDIAN_1_SERVICE_HOST, GUARDIAN_1_SERVICE_PORT[_name],
// GUARDIAN_1_PORT=tcp://ip:port, GUARDIAN_1_PORT_7500_TCP[_PROTO|_PORT|_ADDR].
var (
	serviceLinks = regexp.MustCompile(`^GUARDIAN(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_[0-9]+_(TCP|UDP|SCTP)(_[A-Z]+)?)$`)
	portLinks    = regexp.MustCompile(`^GUARDIAN(_[A-Z0-9_]+)?_PORT$`)
	linkValues   = regexp.MustCompile(`^(tcp|udp|sctp)://`)
)

func isServiceLink(name, value string) bool {
	return serviceLinks.MatchString(name) || portLinks.MatchString(name) && linkValues.MatchString(value)
}

// variables is the variable of each field of Config.
func variables() map[string]string {
	names := map[string]string{}
	for field := range reflect.TypeFor[Config]().Fields() {
		if name, ok := field.Tag.Lookup("env"); ok {
			names[field.Name] = name
		}
	}
	return names
}

// misparsed says which variables have a value of the wrong type.
func misparsed(err error) (all []error) {
	aggregate, ok := errors.AsType[env.AggregateError](err)
	if !ok {
		return unjoin(errors.Join(err))
	}
	names := variables()
	for _, err := range aggregate.Errors {
		if wrong, ok := errors.AsType[env.ParseError](err); ok {
			err = &variableError{names[wrong.Name], fmt.Sprintf("not a %s", kindOf(wrong.Type))}
		}
		all = append(all, err)
	}
	return all
}

func kindOf(t reflect.Type) string {
	switch t.String() {
	case "time.Duration":
		return "duration, such as 30s or 24h"
	case "main.Bool":
		return "boolean: use true or false"
	}
	return "whole number"
}

// unsetSecrets removes from the environment what has been read, so that no
// child process or crash report shows it.
func unsetSecrets() {
	for _, name := range []string{"GUARDIAN_SERVER_BEARER_TOKENS_JSON", "GUARDIAN_SERVER_BEARER_TOKEN", "GUARDIAN_INTEGRITY_KEY", "GUARDIAN_REGISTRY"} {
		_ = os.Unsetenv(name) // fails for malformed names only
	}
}
