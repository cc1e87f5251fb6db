"""Chat templates in Ollama's language, executed by Go's text/template as Ollama executes them.

    python tools/goldens/ollama_templates.py      (needs Go; made with go 1.19 or newer)

Reads and completes data/ollama-templates/golden.json: `templates` are those that @ft/export writes into a Modelfile (its test says when
they have changed: put the new ones there, and run this again), `rendered` what they give for chats. Ollama collects the system messages
in .System, leaves them among .Messages, and joins messages of one role that follow each other (template/template.go, `Execute`).
"""

import json
import pathlib
import subprocess
import tempfile

file = pathlib.Path(__file__).parent / "data" / "ollama-templates" / "golden.json"

program = r"""
package main

import (
	"encoding/json"
	"os"
	"strings"
	"text/template"
)

type message struct{ Role, Content string }

func main() {
	var job struct {
		Templates map[string]string
		Chats     [][]message
	}
	if err := json.NewDecoder(os.Stdin).Decode(&job); err != nil {
		panic(err)
	}
	rendered := map[string][]string{}
	for name, source := range job.Templates {
		parsed := template.Must(template.New("").Option("missingkey=zero").Parse(source))
		for _, chat := range job.Chats {
			var system []string
			var joined []*message
			for i := range chat {
				turn := chat[i]
				if turn.Role == "system" {
					system = append(system, turn.Content)
				}
				if n := len(joined); n > 0 && joined[n-1].Role == turn.Role {
					joined[n-1].Content += "\n\n" + turn.Content
				} else {
					joined = append(joined, &turn)
				}
			}
			var out strings.Builder
			values := map[string]any{"System": strings.Join(system, "\n\n"), "Messages": joined, "Response": ""}
			if err := parsed.Execute(&out, values); err != nil {
				panic(err)
			}
			rendered[name] = append(rendered[name], out.String())
		}
	}
	json.NewEncoder(os.Stdout).Encode(rendered)
}
"""


def turns(*contents: str) -> list[dict]:
    return [{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(contents)]


system = {"role": "system", "content": "Answer in one line.\nBe kind."}
plain = [turns("Hi"), turns("Hi", "Hello!", "1 < 2 & \"x\"?"), turns("a", "b", "c", "d", "{{ .e }} 你好 🙂")]
chats = plain + [[system, *chat] for chat in plain]

if __name__ == "__main__":
    templates = json.loads(file.read_text())["templates"]
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "main.go"
        source.write_text(program)
        job = json.dumps({"templates": templates, "chats": chats})
        made = subprocess.run(["go", "run", str(source)], input=job, capture_output=True, text=True, check=True).stdout
    golden = {"templates": templates, "chats": chats, "rendered": json.loads(made)}
    file.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")
