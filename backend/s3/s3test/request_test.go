package s3test

import (
	"net/http/httptest"
	"testing"
	"time"
)

func TestOp(t *testing.T) {
	for _, test := range []struct{ method, target, bucket, key, op string }{
		{"GET", "/", "", "", "ListBuckets"},
		{"HEAD", "/b", "b", "", "HeadBucket"},
		{"HEAD", "/b/", "b", "", "HeadBucket"},
		{"PUT", "/b", "b", "", "CreateBucket"},
		{"PUT", "/b?policy", "b", "", "PutBucketPolicy"},
		{"DELETE", "/b", "b", "", "DeleteBucket"},
		{"GET", "/b?list-type=2&prefix=x", "b", "", "ListObjectsV2"},
		{"GET", "/b?prefix=x", "b", "", "ListObjects"},
		{"GET", "/b?versioning", "b", "", "GetBucketVersioning"},
		{"GET", "/b/k", "b", "k", "GetObject"},
		{"GET", "/b/k/l%20m?x-id=GetObject", "b", "k/l m", "GetObject"},
		{"HEAD", "/b/k", "b", "k", "HeadObject"},
		{"PUT", "/b/k", "b", "k", "PutObject"},
		{"PUT", "/b/k?partNumber=1&x-id=UploadPart", "b", "k", "UploadPart"},
		{"DELETE", "/b/k", "b", "k", "DeleteObject"},
		{"PATCH", "/b/k", "b", "k", ""},
	} {
		r := newRequest(httptest.NewRequest(test.method, test.target, nil))
		if r.Bucket != test.bucket || r.Key != test.key || r.Op() != test.op {
			t.Errorf("%s %s is %q of %q in %q, want %q of %q in %q",
				test.method, test.target, r.Op(), r.Key, r.Bucket, test.op, test.key, test.bucket)
		}
	}
}

func TestRoundTrips(t *testing.T) {
	for _, test := range []struct {
		name string
		// spans are start and end in seconds; an end of 0 is yet to come.
		spans [][2]int
		want  int
	}{
		{"none", nil, 0},
		{"one", [][2]int{{1, 2}}, 1},
		{"one under way", [][2]int{{1, 0}}, 1},
		{"side by side", [][2]int{{1, 4}, {2, 5}, {3, 6}}, 1},
		{"one after the other", [][2]int{{1, 2}, {2, 3}, {4, 5}}, 3},
		{"two after one", [][2]int{{1, 2}, {3, 5}, {4, 6}}, 2},
		{"short ones beside a long one", [][2]int{{1, 9}, {2, 3}, {4, 5}, {6, 7}}, 3},
		{"a long one first and last", [][2]int{{5, 20}, {1, 4}, {6, 7}, {8, 9}, {21, 22}}, 4},
		{"nested", [][2]int{{1, 10}, {2, 9}, {3, 8}}, 1},
		{"ends with one under way", [][2]int{{1, 2}, {3, 0}}, 2},
		{"all but the first under way", [][2]int{{1, 2}, {3, 0}, {4, 0}}, 2},
		{"under way all the time", [][2]int{{1, 0}, {2, 3}, {4, 5}}, 2},
	} {
		var requests []Request
		for _, span := range test.spans {
			r := Request{Start: time.Unix(int64(span[0]), 0)}
			if span[1] != 0 {
				r.End = time.Unix(int64(span[1]), 0)
			}
			requests = append(requests, r)
		}
		if got := RoundTrips(requests); got != test.want {
			t.Errorf("%s: RoundTrips = %d, want %d", test.name, got, test.want)
		}
	}
}
