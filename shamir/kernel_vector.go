//go:build amd64 || arm64

package shamir

// maxStreams is how many rows a vector kernel reads at once where they are too
// long for the CPU's first cache. Prefetchers lose track of more: 33 rows of
// 512 KiB were summed four times as fast in groups of 12 as in one go.
const maxStreams = 12

// vector makes a kernel of assembly for sums of at least width elements, in
// which a row may be dst itself if width divides its length.
func vector(name string, width int, sum sumFunc) kernel {
	return kernel{name: name, sum: func(dst, weights []byte, rows [][]byte) {
		switch {
		case len(dst) < width:
			sumPortable(dst, weights, rows)
		case len(dst) > blockSize && len(rows) > maxStreams:
			sumInGroups(dst, weights, rows, width, sum)
		default:
			sum(dst, weights, rows)
		}
	}}
}

// sumInGroups takes what was summed so far for one more row, of weight 1.
func sumInGroups(dst, weights []byte, rows [][]byte, width int, sum sumFunc) {
	whole := len(dst) / width * width
	sumBlock(dst[whole:], weights, rows, whole)
	dst = dst[:whole]
	sum(dst, weights[:maxStreams], rows[:maxStreams])
	for from := maxStreams; from < len(rows); from += maxStreams - 1 {
		to := min(from+maxStreams-1, len(rows))
		sum(dst, append([]byte{1}, weights[from:to]...), append([][]byte{dst}, rows[from:to]...))
	}
}
