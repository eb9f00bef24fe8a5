package tollgate_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The READMEs' programs, word for word: the first is built, started and asked, the others
// are vetted.
func TestTheREADMEs(t *testing.T) {
	here, err := os.Getwd()
	fails(t, err, nil)
	program := built(t, here, shown(t, "../README.md", "## Go"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	server := exec.CommandContext(ctx, program, "127.0.0.1:0")
	server.Dir = filepath.Join(here, "../..")
	server.WaitDelay = time.Second
	output, err := server.StderrPipe()
	fails(t, err, nil)
	fails(t, server.Start(), nil)
	defer func() {
		server.Process.Kill()
		server.Wait()
	}()
	line, err := bufio.NewReader(output).ReadString('\n')
	fails(t, err, nil)
	at := regexp.MustCompile(`listening on (127\.0\.0\.1:\d+)\n$`).FindStringSubmatch(line)
	if at == nil {
		t.Fatalf("it says %q", line)
	}
	client := &http.Client{Timeout: 10 * time.Second}
	for nth := range 6 {
		response, err := client.Post("http://"+at[1]+"/login", "text/plain", nil)
		fails(t, err, nil)
		body, err := io.ReadAll(response.Body)
		fails(t, err, nil)
		response.Body.Close()
		if nth < 5 {
			want(t, "the status", response.StatusCode, 200)
			want(t, "the body", string(body), "served\n")
			continue
		}
		want(t, "the status", response.StatusCode, 429)
		want(t, "the limit", response.Header.Get("X-RateLimit-Limit"), "5")
		want(t, "the wait", len(response.Header.Get("Retry-After")), 2)
		want(t, "the body", strings.Contains(string(body), "Rate limit exceeded, try again in"), true)
	}
}

func TestTenLines(t *testing.T) {
	here, err := os.Getwd()
	fails(t, err, nil)
	program := built(t, here, shown(t, "README.md", "## Ten lines"))
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	said, err := exec.CommandContext(ctx, program).CombinedOutput()
	fails(t, err, nil)
	want(t, "what it says", string(said), "allowed, 9 of 10 left\n")
}

// shown is the first block in Go after that heading.
func shown(t *testing.T, file, heading string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	fails(t, err, nil)
	_, section, ok := strings.Cut(string(text), "\n"+heading+"\n")
	_, block, found := strings.Cut(section, "\n```go\n")
	block, _, ended := strings.Cut(block, "\n```\n")
	if !ok || !found || !ended {
		t.Fatalf("%s shows no program after %q", file, heading)
	}
	return block + "\n"
}

// built is the program as somebody builds it who has this module beside their own.
func built(t *testing.T, here, text string) string {
	t.Helper()
	folder := t.TempDir()
	module := "module shown\n\ngo 1.24\n\nrequire tollgate v0.0.0\n\nreplace tollgate => " + here + "\n"
	fails(t, os.WriteFile(filepath.Join(folder, "go.mod"), []byte(module), 0o600), nil)
	fails(t, os.WriteFile(filepath.Join(folder, "main.go"), []byte(text), 0o600), nil)
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	for _, arguments := range [][]string{{"vet", "."}, {"build", "-o", "program", "."}} {
		command := exec.CommandContext(ctx, "go", arguments...)
		command.Dir = folder
		command.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if said, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", arguments, err, said)
		}
	}
	unformatted, err := exec.CommandContext(ctx, "gofmt", "-l", folder).CombinedOutput()
	fails(t, err, nil)
	want(t, "what gofmt would change", string(unformatted), "")
	return filepath.Join(folder, "program")
}
