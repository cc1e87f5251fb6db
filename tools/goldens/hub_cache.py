"""Asks huggingface_hub about a cache; HF_ENDPOINT and HF_HUB_CACHE say which. Run by packages/weights/test/hub-python.heavy.test.ts,
which with FT_WRITE_GOLDENS=1 also writes data/hub/layout.json: what huggingface_hub leaves in a cache.

    hub_cache.py download ID            downloads a model
    hub_cache.py local ID FILE ...      the same without a network; where the cache has each file
    hub_cache.py upload ID FOLDER       makes a repository and uploads a folder; HF_TOKEN says as whom. Run by
                                        hub-push-python.heavy.test.ts, which keeps the requests in data/hub/upload.json
    hub_cache.py fnmatch                makes data/hub/fnmatch.json; needs no cache
"""

import fnmatch
import json
import os
import pathlib
import platform
import sys

PATTERNS = ["*", "*.json", "*.JSON", "?.bin", "model*", "*-0000[1-3]-of-*", "[!a]*", "[]a]*", "[a", "a/", "*/*", "**.json",
            "a.b", "a+b", "[^a]*", "[z-a]", "(a)", "{a,b}", "a|b", "$a^", "[a-c]?[0-9]", "", "*Q4_[01].gguf", "\\*", "[\\]x"]
PATHS = ["config.json", "a.json", "a.JSON", "a.bin", "ab.bin", "model.safetensors", "model-00002-of-00003.safetensors",
         "a/b.json", "a/b/c.bin", "]x", "[a", "[abc", "a.b", "axb", "a+b", "aab", "^a", "(a)", "{a,b}", "a|b", "$a^", "b_7",
         "bx7", "", "x.Q4_0.gguf", "x.Q4_K.gguf", "*", "\\x", "new\nline", "é.json", "😀", "z"]


def main() -> None:
    what, *rest = sys.argv[1:]
    if what == "fnmatch":
        # as huggingface_hub's filter_repo_objects does it
        whole = lambda pattern: pattern + "*" if pattern.endswith("/") else pattern
        matches = {pattern: [path for path in PATHS if fnmatch.fnmatchcase(path, whole(pattern))] for pattern in PATTERNS}
        out = pathlib.Path(__file__).parent / "data" / "hub" / "fnmatch.json"
        golden = {"versions": {"python": platform.python_version()}, "paths": PATHS, "matches": matches}
        out.write_text(json.dumps(golden, indent=1) + "\n")
        return
    import huggingface_hub

    if what == "local":
        repo, *files = rest
        info = huggingface_hub.scan_cache_dir(os.environ["HF_HUB_CACHE"])
        out = {
            "snapshot": huggingface_hub.snapshot_download(repo, local_files_only=True),
            "cached": [huggingface_hub.try_to_load_from_cache(repo, file) for file in files],
            "commits": [revision.commit_hash for one in info.repos for revision in one.revisions],
            "warnings": [str(warning) for warning in info.warnings],
        }
    elif what == "upload":
        repo, folder = rest
        api = huggingface_hub.HfApi()
        api.create_repo(repo, repo_type="model", exist_ok=True)
        commit = api.upload_folder(repo_id=repo, folder_path=folder, commit_message="Upload 6 files")
        out = {"commit": commit.oid, "url": commit.commit_url}
    else:
        out = {"snapshot": huggingface_hub.snapshot_download(rest[0])}
    print(json.dumps({"versions": {"huggingface_hub": huggingface_hub.__version__}, **out}))


if __name__ == "__main__":
    main()
