package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/vault-guardian/guardian/backend/s3"
	"github.com/vault-guardian/guardian/backend/s3/s3test"
)

// A store that goes round in its listing does not keep the caller for ever.
func TestListingThatGoesBackEnds(t *testing.T) {
	page := func(keys [2]string, token int) string {
		return fmt.Sprintf(`<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>%d</NextContinuationToken>
			<Contents><Key>p/%s</Key><Size>1</Size></Contents><Contents><Key>p/%s</Key><Size>1</Size></Contents></ListBucketResult>`, token, keys[0], keys[1])
	}
	asked := 0
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked++
		_, _ = w.Write([]byte(page([2]string{"a", "b"}, asked)))
	}))
	defer store.Close()
	server := &s3test.Server{Endpoint: store.URL, Region: "us-east-1", AccessKey: "k", SecretKey: "s"}
	setenv(t, server)
	var last error
	entries := 0
	for _, err := range open(t, s3.Config{Bucket: "bucket", Prefix: "p", SkipProbe: true}).List(t.Context(), "", "") {
		if last = err; err == nil {
			entries++
		}
	}
	if !errors.Is(last, s3.ErrUnsafe) || entries != 2 || asked != 2 {
		t.Errorf("%d entries in %d requests, then %v", entries, asked, last)
	}
}
