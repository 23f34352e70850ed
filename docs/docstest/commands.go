// Package docstest holds the command lines that the documents show to the commands
// and flags that a program has.
package docstest

import (
	"errors"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Check wants every line of a program in the documents to name a command and flags
// that there are, one in a block of commands to have the arguments that it takes, and
// as many lines as least.
func Check(t *testing.T, program string, least int, newRoot func() *cobra.Command) {
	t.Helper()
	lines := CommandLines(t, program)
	if len(lines) < least {
		t.Fatalf("found %d lines only", len(lines))
	}
	for _, line := range lines {
		root := newRoot()
		root.InitDefaultCompletionCmd()
		cmd, args, err := root.Find(line.Args)
		if err == nil {
			cmd.InitDefaultHelpFlag()
			cmd.InitDefaultVersionFlag()
			err = cmd.ParseFlags(args)
		}
		if errors.Is(err, pflag.ErrHelp) {
			continue
		}
		if err == nil && (line.Whole || cmd.HasSubCommands()) {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if err != nil {
			t.Errorf("%s: %s: %v", line.Document, line.Text, err)
		}
	}
}

// Line is one command line of a document.
type Line struct {
	Document, Text string
	// Args are what comes behind the program's name.
	Args []string
	// Whole is set in a block of commands. A line in running text may leave out what
	// the reader knows.
	Whole bool
}

var (
	blocks = regexp.MustCompile("(?ms)^ *```(?:bash|sh)\n(.*?)^ *```")
	fences = regexp.MustCompile("(?ms)^ *```.*?^ *```$")
	spans  = regexp.MustCompile("`([^`]+)`")
)

// CommandLines is every line of README.md and of docs/*.md that starts program. The
// working directory is that of a package of cmd/.
func CommandLines(t testing.TB, program string) (lines []Line) {
	t.Helper()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("found no documents: %v", err)
	}
	for _, document := range append(documents, "../../README.md") {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks.FindAllStringSubmatch(string(text), -1) {
			for line := range strings.Lines(strings.ReplaceAll(block[1], "\\\n", " ")) {
				lines = append(lines, startsOf(program, document, line, true)...)
			}
		}
		for _, span := range spans.FindAllStringSubmatch(fences.ReplaceAllString(string(text), ""), -1) {
			// "guardian ..." is a line of the log as often as a command.
			if program == "guardianctl" || strings.HasPrefix(span[1], program+" -") || strings.HasPrefix(span[1], program+" healthcheck") {
				lines = append(lines, startsOf(program, document, span[1], false)...)
			}
		}
	}
	return lines
}

var (
	assignment = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)
	before     = []string{"do", "then", "if", "while", "exec", "!", "(", "{"}
	// wrappers have words of their own before the command that they start.
	wrappers = []string{"sudo", "docker", "kubectl"}
)

func startsOf(program, document, text string, whole bool) (lines []Line) {
	for _, words := range commandsOf(text) {
		for len(words) > 0 && (assignment.MatchString(words[0]) || slices.Contains(before, words[0])) {
			words = words[1:]
		}
		if len(words) == 0 {
			continue
		}
		at := 0
		if slices.Contains(wrappers, words[0]) && program == "guardianctl" {
			at = max(slices.Index(words, program), 0)
		}
		if path.Base(words[at]) == program {
			lines = append(lines, Line{filepath.Base(document), strings.TrimSpace(text), words[at+1:], whole})
		}
	}
	return lines
}

// commandsOf splits a line of shell into its commands and these into words, without
// quotes, comments and redirections. What $( ) runs stays part of its word.
func commandsOf(text string) (commands [][]string) {
	s := splitter{text: text}
	for s.skipSpace(); s.text != "" && s.text[0] != '#'; s.skipSpace() {
		if operator := separators.FindString(s.text); operator != "" {
			s.text = s.text[len(operator):]
			commands, s.words = append(commands, s.words), nil
			continue
		}
		if redirection := redirections.FindString(s.text); redirection != "" {
			s.text = s.text[len(redirection):]
			if !strings.HasSuffix(redirection, "&1") {
				s.skipSpace()
				s.word()
			}
			continue
		}
		s.words = append(s.words, s.word())
	}
	return append(commands, s.words)
}

var (
	separators   = regexp.MustCompile(`^(&&|\|\||[;|&)])`)
	redirections = regexp.MustCompile(`^[0-9]?(>>|>&1|>|<<|<)`)
)

type splitter struct {
	text  string
	words []string
}

func (s *splitter) skipSpace() { s.text = strings.TrimLeft(s.text, " \t\r\n") }

// word takes one word off the text.
func (s *splitter) word() string {
	var word strings.Builder
	quote, depth, i := byte(0), 0, 0
	for ; i < len(s.text); i++ {
		c := s.text[i]
		switch {
		case c == '\\' && quote != '\'' && i+1 < len(s.text):
			i++
			word.WriteByte(s.text[i])
			continue
		case quote != 0 && c == quote:
			quote = 0
			continue
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
			continue
		case strings.HasPrefix(s.text[i:], "$("):
			depth++
			word.WriteByte(c)
			i++
			c = '('
		case depth > 0 && c == ')':
			depth--
		case quote == 0 && depth == 0 && strings.IndexByte(" \t\r\n;|&)<>", c) >= 0:
			s.text = s.text[i:]
			return word.String()
		}
		word.WriteByte(c)
	}
	s.text = ""
	return word.String()
}
