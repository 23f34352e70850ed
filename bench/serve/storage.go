package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// storage is one that guardians are measured on.
type storage struct {
	name string
	// bareName says what the bare servers for push and pull do.
	barePush, barePull string
	// open makes a new one: what a guardian is given as GUARDIAN_STORAGE, the
	// environment that goes with it, and the kind of bare server for each, with
	// where that keeps what it has.
	open func(context.Context, *benchmark) (opened, error)
	// many is how many shares to compare with none.
	many func(plan) int
}

type opened struct {
	url                string
	environ            []string
	pushKind, pullKind string
	bareWhere          string
}

const (
	bareFile    = "one file: write, fsync, rename, fsync of the directory"
	bareBolt    = "one entry of a bbolt file, committed with all others that wait"
	bareNothing = "JSON, base64 and HMAC, in memory"
	bareObjects = "the same requests to the server, bare"
)

var (
	inDirectory = storage{"a directory", bareFile, bareNothing, func(_ context.Context, b *benchmark) (opened, error) {
		return opened{url: b.fresh("directory"), pushKind: "file", pullKind: "nothing", bareWhere: b.fresh("bare")}, nil
	}, func(p plan) int { return p.shares }}
	inOneFile = storage{"bolt", bareBolt, bareNothing, func(_ context.Context, b *benchmark) (opened, error) {
		return opened{url: "bolt://" + b.fresh("bolt") + ".db", pushKind: "bolt", pullKind: "nothing", bareWhere: b.fresh("bare")}, nil
	}, func(p plan) int { return p.sharesInBolt }}
	onVersity = storage{"versitygw", bareObjects, bareObjects, func(ctx context.Context, b *benchmark) (opened, error) {
		return b.startS3(ctx, "GUARDIAN_TEST_VERSITYGW", "versitygw-*/versitygw", func(program, address, dir string) *exec.Cmd {
			return exec.CommandContext(ctx, program, "--port", address, "--quiet", "--keep-alive", "--iam-dir", dir, "posix", filepath.Join(dir, "root"))
		})
	}, nil}
	onMinIO = storage{"MinIO", bareObjects, bareObjects, func(ctx context.Context, b *benchmark) (opened, error) {
		return b.startS3(ctx, "GUARDIAN_TEST_MINIO", "minio-*/minio", func(program, address, dir string) *exec.Cmd {
			return exec.CommandContext(ctx, program, "server", "--address", address, "--quiet", filepath.Join(dir, "root"))
		})
	}, nil}
)

const bucket = "bench"

// startS3 starts a server with a bucket of its own.
func (b *benchmark) startS3(ctx context.Context, variable, pattern string, command func(program, address, dir string) *exec.Cmd) (opened, error) {
	program, err := findProgram(variable, pattern)
	if err != nil {
		return opened{}, err
	}
	dir := b.fresh("s3")
	if err := os.MkdirAll(filepath.Join(dir, "root"), 0o700); err != nil {
		return opened{}, err
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return opened{}, err
	}
	account, secret := rand.Text()[:20], rand.Text()
	cmd := command(program, address, dir)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+account, "ROOT_SECRET_KEY="+secret,
		"MINIO_ROOT_USER="+account, "MINIO_ROOT_PASSWORD="+secret, "MINIO_BROWSER=off", "MINIO_UPDATE=off", "HOME="+dir)
	if _, err := b.start(cmd); err != nil {
		return opened{}, fmt.Errorf("starting %s: %w", program, err)
	}
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + address), Region: "us-east-1", UsePathStyle: true,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: account, SecretAccessKey: secret}, nil
		}),
	})
	err = until(ctx, func(ctx context.Context) error {
		_, err := client.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: aws.String(bucket)})
		return err
	})
	return opened{
		url: "s3://" + bucket + "/guardian", pushKind: "s3", pullKind: "s3", bareWhere: bucket,
		environ: []string{
			"AWS_ENDPOINT_URL_S3=http://" + address, "AWS_REGION=us-east-1", "AWS_S3_FORCE_PATH_STYLE=true",
			"AWS_ACCESS_KEY_ID=" + account, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_EC2_METADATA_DISABLED=true",
			"GUARDIAN_INTEGRITY_KEY=" + fmt.Sprintf("%064x", 1),
		},
	}, err
}

func findProgram(variable, pattern string) (string, error) {
	if path := os.Getenv(variable); path != "" {
		return path, nil
	}
	if found, _ := filepath.Glob(filepath.Join("..", ".tools", pattern)); len(found) > 0 {
		return found[len(found)-1], nil
	}
	return "", errors.New("an S3 server is missing: run make tools, name it in " + variable + ", or leave it out with -s3=false")
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// ready waits until a guardian takes requests, and looks often.
func (s *server) ready(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second}
	return until(ctx, func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("not ready: %s", response.Status)
		}
		return nil
	})
}
