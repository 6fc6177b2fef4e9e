# SPDX-License-Identifier: Apache-2.0
"""Rivals: keys that the processes of a case hold and never use, so that whoever guesses is wrong. Pure."""
import copy

SIGN = "+"  # between a case's name and the rival's
STRENGTH = ("unattributed", "possible", "inferred", "confirmed")
DOTENV = "~/rival/.env"

# Another provider's key: (provider, kind, its variables, the host of its line in a .netrc).
OTHERS = (("aws", "aws.static", {"AWS_ACCESS_KEY_ID": "${rival.id}", "AWS_SECRET_ACCESS_KEY": "${rival}"}, ""),
          ("github", "github.pat", {"GITHUB_TOKEN": "${rival}"}, "api.github.com"),
          ("openai", "openai", {"OPENAI_API_KEY": "${rival}"}, "api.openai.com"),
          ("npm", "npm", {"NPM_TOKEN": "${rival}"}, "registry.npmjs.org"))
# A second key of a kind: its variables, or the file that is the key.
TWINS = {"aws.static": {"AWS_ACCESS_KEY_ID": "${rival.id}", "AWS_SECRET_ACCESS_KEY": "${rival}"},
         "azure.secret": {"AZURE_TENANT_ID": "00000000-0000-0000-0000-0000000000bb", "AZURE_CLIENT_ID": "${rival.id}",
                          "AZURE_CLIENT_SECRET": "${rival}"},
         **{kind: {name: "${rival}"} for kind, name in (
             ("github.pat", "GITHUB_TOKEN"), ("openai", "OPENAI_API_KEY"), ("huggingface", "HF_TOKEN"),
             ("npm", "NPM_TOKEN"), ("pypi", "PYPI_TOKEN"), ("vault", "VAULT_TOKEN"), ("gitlab.pat", "GITLAB_TOKEN"),
             ("slack.bot", "SLACK_BOT_TOKEN"))}}
TWIN_FILES = {"gcp.sa": ("~/rival/service-account.json", "${rival.json}"),
              "gcp.user": ("~/rival/application_default_credentials.json", "${rival.json}"),
              "kubernetes.token": ("~/rival/token", "${rival}")}
# Another kind of key of the same provider: (kind, its variable).
RELATIVES = {"aws": ("aws.bedrock", "AWS_BEARER_TOKEN_BEDROCK"), "gcp": ("gcp.api_key", "GOOGLE_API_KEY"),
             "azure": ("azure.storage", "AZURE_STORAGE_KEY"), "github": ("github.client", "GITHUB_CLIENT_SECRET"),
             "gitlab": ("gitlab.runner", "CI_RUNNER_TOKEN"), "openai": ("openai.admin", "OPENAI_ADMIN_KEY"),
             "slack": ("slack.signing", "SLACK_SIGNING_SECRET")}


def _lines(variables):
    return "".join(f"{name}={value}\n" for name, value in variables.items())


def _other(spec, number, netrc=False):
    """An entry of OTHERS whose provider the case never names."""
    text = str({name: value for name, value in spec.items() if name != "why"}).lower()
    some = [one for one in OTHERS if one[0] not in text and (one[3] or not netrc)]
    return some[number % len(some)]


def _used(spec):
    """The kinds of the planted keys that are used, or that of AWS where only issued keys are."""
    options = spec.get("keys") or {}
    kinds = [options[one["key"]] for one in spec.get("uses") or [] if one["key"] in options]
    return [one if isinstance(one, str) else one["kind"] for one in kinds] or ["aws.static"]


def environment(spec, number):
    _, kind, variables, _ = _other(spec, number)
    return {"kind": kind, "env": variables}


def dotenv(spec, number):
    _, kind, variables, _ = _other(spec, number)
    return {"kind": kind, "file": (DOTENV, _lines(variables))}


def netrc(spec, number):
    _, kind, _, host = _other(spec, number, netrc=True)
    return {"kind": kind, "file": ("~/.netrc", f"machine {host}\n  login corpus\n  password ${{rival}}\n")}


def relative(spec, _):
    kind, variable = RELATIVES.get(_used(spec)[0].partition(".")[0], (None, None))
    return kind and {"kind": kind, "file": (DOTENV, f"{variable}=${{rival}}\n"), "accepted": True}


def twin(spec, _):
    kind = _used(spec)[0]
    file = TWIN_FILES.get(kind) or (DOTENV, _lines(TWINS[kind]))
    return {"kind": kind, "file": file, "accepted": True}


def profile(spec, _):
    """A second profile of the file that AWS clients read themselves."""
    if _used(spec)[0] != "aws.static":
        return None
    text = "[spare]\naws_access_key_id = ${rival.id}\naws_secret_access_key = ${rival}\n"
    return {"kind": "aws.static", "file": ("~/.aws/credentials", text), "accepted": True}


# Those that the destination itself may accept come first: then an honest answer may be weaker, never wrong.
KINDS = {"twin": twin, "profile": profile, "netrc": netrc, "relative": relative, "dotenv": dotenv,
         "environment": environment}


def kinds_of(spec):
    """The rivals that a case can have. One that lies outside what can be seen has none: it is wrong without."""
    return [] if "limit" in spec else [name for name, make in KINDS.items() if make(spec, 0)]


def with_rival(spec, name, number):
    """The same case, whose processes also hold such a key. `number` turns the providers over."""
    made, out = KINDS[name](spec, number), copy.deepcopy(spec)
    out.update(name=spec["name"] + SIGN + name, env=dict(spec.get("env") or {}),
               keys={**(spec.get("keys") or {}), "rival": made["kind"]}, files=list(out.get("files") or []))
    out["env"].update(made.get("env", {}))
    if "file" in made:
        path, text = made["file"]
        own = next((one for one in out["files"] if one["path"] == path and "content" in one), None)
        if own:
            own["content"] += text
        else:
            out["files"].append({"path": path, "content": text})
            out["env"].update(LD_PRELOAD="${reads}", CORPUS_READS=path.replace("~", "/root"))
    if made.get("accepted"):
        for use in out.get("uses") or []:
            evidence = use.get("evidence", spec.get("evidence", "confirmed"))
            floor = use.get("floor", spec.get("floor", evidence))
            use["floor"] = min(floor, "possible", key=STRENGTH.index)
        for one in out.get("acquisitions") or []:  # an issued key has its row where nothing that is seen fits better
            one["optional"] = one.get("optional", False) or one["from"] == "issued"
    return out


def base(name):
    """The name of the case behind a rival run."""
    return name.partition(SIGN)[0]


def kind(name):
    return name.partition(SIGN)[2]
