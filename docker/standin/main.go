// Command standin plays, in the test of compose.yaml, the programs of images
// that a test does not pull, by means of the Versity S3 Gateway: RustFS, and
// the few words of curl and of AWS's command line that the file says. It also
// is a chown for tests that are not root.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const gateway = "/bin/versitygw"

func main() {
	roles := map[string]func(args []string) error{"rustfs": rustfs, "curl": curl, "aws": aws, "chown": chown}
	role := filepath.Base(os.Args[0])
	if err := roles[role](os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, role+":", err)
		os.Exit(1)
	}
}

// rustfs serves RUSTFS_VOLUMES at RUSTFS_ADDRESS.
func rustfs([]string) error {
	args := []string{
		gateway, "--port", os.Getenv("RUSTFS_ADDRESS"), "--health", "/health/ready", "--quiet", "--keep-alive",
		"posix", os.Getenv("RUSTFS_VOLUMES"),
	}
	environ := []string{"ROOT_ACCESS_KEY=" + os.Getenv("RUSTFS_ACCESS_KEY"), "ROOT_SECRET_KEY=" + os.Getenv("RUSTFS_SECRET_KEY")}
	return syscall.Exec(gateway, args, environ) //nolint:gosec // in the container of a test
}

// curl gets the URL that comes last, as curl -f does.
func curl(args []string) error {
	client := &http.Client{Timeout: 5 * time.Second}
	response, err := client.Get(args[len(args)-1]) //nolint:gosec,noctx // in the container of a test
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode >= http.StatusBadRequest {
		return errors.New(response.Status)
	}
	return nil
}

// aws is s3api head-bucket --bucket NAME and s3 mb s3://NAME.
func aws(args []string) error {
	said := strings.Join(args, " ")
	if bucket, ok := strings.CutPrefix(said, "s3api head-bucket --bucket "); ok {
		return headBucket(bucket)
	}
	if bucket, ok := strings.CutPrefix(said, "s3 mb s3://"); ok {
		_, err := admin("create-bucket", "--owner", os.Getenv("AWS_ACCESS_KEY_ID"), "--bucket", bucket)
		return err
	}
	return errors.New("not one of the commands that are played: " + said)
}

func headBucket(bucket string) error {
	listed, err := admin("list-buckets")
	if err == nil && !slices.Contains(strings.Fields(listed), bucket) {
		err = errors.New("no such bucket")
	}
	return err
}

func admin(args ...string) (string, error) {
	cmd := exec.Command(gateway, append([]string{"admin"}, args...)...) //nolint:gosec,noctx // in the container of a test
	cmd.Env = []string{
		"ADMIN_ENDPOINT_URL=" + os.Getenv("AWS_ENDPOINT_URL_S3"),
		"ADMIN_ACCESS_KEY=" + os.Getenv("AWS_ACCESS_KEY_ID"),
		"ADMIN_SECRET_KEY=" + os.Getenv("AWS_SECRET_ACCESS_KEY"),
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return string(out), err
}

// chown is chown -R UID DIRECTORY.
func chown(args []string) error {
	uid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	dir, err := os.OpenRoot(args[1])
	if err != nil {
		return err
	}
	defer dir.Close()
	return fs.WalkDir(dir.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		return errors.Join(err, dir.Lchown(path, uid, uid))
	})
}
