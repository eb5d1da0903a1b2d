"""Prices: the seed, an operator's own, tables in and out, and what requests cost by them."""
import csv
import io


QUESTION = [{"role": "user", "content": "hello"}]


def put(gateway, name, **more):
    price = {"name": name, "models": ["m-*"], "currency": "USD", "rates": {"input": 1_000_000, "output": 2_000_000}, **more}
    return gateway.admin.put("prices/%s" % name, price).json()


def quote(gateway, provider, model, **more):
    return gateway.admin.post("price-quote", {"provider": provider, "model": model, **more}, expect=200).json()


def test_the_seed_is_listed_used_and_replaced(gateway, openai_sim):
    gateway.provider("vendor", openai_sim, type="openai")
    page = gateway.admin.get("prices?limit=200&source=seed").json()
    assert page["seed"]["date"] == "2026-11-01" and page["total"] > 50
    assert {p["source"] for p in page["items"]} == {"seed"} and {p["revision"] for p in page["items"]} == {None}
    said = quote(gateway, "vendor", "gpt-4o-mini", prompt_tokens=1_000_000, cached_tokens=200_000, completion_tokens=1000)
    assert (said["price"], said["source"], said["currency"]) == ("seed-openai-gpt-4o-mini", "seed", "USD")
    assert said["cost"] == 800_000 * 0.15 + 200_000 * 0.075 + 1000 * 0.6
    assert [p["rate"] for p in said["parts"]] == ["input", "cached_input", "output"]
    seed = gateway.admin.get("prices/seed-openai-gpt-4o-mini").json()
    put(gateway, seed["name"], models=seed["models"], currency="CNY")
    said = quote(gateway, "vendor", "gpt-4o-mini", prompt_tokens=1_000_000)
    assert (said["source"], said["currency"], said["cost"]) == ("operator", "CNY", 1_000_000)
    put(gateway, seed["name"], models=seed["models"], enabled=False)
    assert quote(gateway, "vendor", "gpt-4o-mini")["price"] is None
    gateway.admin.delete("prices/" + seed["name"])
    assert gateway.admin.get("prices/" + seed["name"]).json()["source"] == "seed"
    assert gateway.admin.get("prices?model=gpt-4o-mini&source=seed").json()["total"] == 1
    gateway.admin.get("prices/no-such", expect=404)


def test_tables_go_in_and_come_out(gateway):
    table = ("name,models,provider_type,currency,input,output,description\r\n"
             'flat,"qwq-32b* qwq-plus",qwen,CNY,2,6,"=SUM(A1)"\r\ncheap,tiny,,USD,0.0028,0.01,\r\n')
    said = gateway.admin.post("price-import", {"csv": table}, expect=200).json()
    assert (said["created"], said["replaced"]) == (2, 0)
    flat = gateway.admin.get("prices/flat").json()
    assert flat["models"] == ["qwq-32b*", "qwq-plus"] and flat["rates"]["input"] == 2_000_000 and flat["currency"] == "CNY"
    assert gateway.admin.get("prices/cheap").json()["rates"]["input"] == 2800
    answer = gateway.admin.call("GET", "prices?format=csv&source=operator", expect=200)
    assert answer.headers["content-type"].startswith("text/csv") and '"\'=SUM(A1)"' in answer.text
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [r["name"] for r in rows] == ["cheap", "flat"] and rows[0]["input"] == "0.0028" and rows[0]["cached_input"] == ""
    again = gateway.admin.post("price-import", {"csv": answer.text}, expect=200).json()
    assert (again["created"], again["replaced"]) == (0, 2)
    assert gateway.admin.get("prices/flat").json()["description"] == "=SUM(A1)"
    # all or nothing, and every fault by its line
    bad = gateway.admin.call("POST", "price-import", {"csv": "name,models,input,inptu\r\nfine,m,1,\r\nbad,m,1.2.3,\r\nworse,m,1,5\r\n"}, expect=400)
    assert {f["path"] for f in bad.json()["errors"]} == {"/csv/2/input", "/csv/3/inptu"}
    gateway.admin.get("prices/fine", expect=404)
    both = gateway.admin.call("POST", "price-import", {"prices": [{"name": "a", "models": ["x"]}, {"name": "b", "models": ["x"]}]}, expect=400)
    assert "same model" in both.text
    gateway.admin.post("price-import?dry_run=true", {"prices": [{"name": "a", "models": ["x"]}]}, expect=200)
    gateway.admin.get("prices/a", expect=404)


def test_what_was_taken_out_goes_in_again_as_it_was(gateway):
    """Tiers, times of day, labels and texts that a spreadsheet would bend included; the seed's prices too."""
    put(gateway, "tiers", description='by length, "long" ones\ndouble', labels={"team": "a,b"}, valid_from="2026-01-02T03:04:05Z", enabled=False,
        rates={"input": 1_250_001, "cached_input": 0, "cache_write": 3, "cache_write_1h": 4, "output": 10_000_000, "reasoning": 5, "audio_input": 6,
               "audio_output": 7, "image": 8, "request": 9},
        variants=[{"above_prompt_tokens": 200_000, "rates": {"input": 2_500_000, "output": 15_000_000}},
                  {"from": "16:30", "to": "00:30", "utc_offset": "+08:00", "days": ["mon", "sun"], "rates": {"input": 625_000}}])
    put(gateway, "plain", models=["other"], provider_type="openai")

    def prices():
        mine = ("name", "description", "labels", "enabled", "provider", "provider_type", "models", "currency", "valid_from", "rates", "variants")
        return [{k: p[k] for k in mine} for p in gateway.admin.get("prices?limit=500").json()["items"]]
    before = prices()
    assert any(p["variants"] and p["name"].startswith("seed-") for p in before)
    table = gateway.admin.call("GET", "prices?format=csv", expect=200).text
    for name in ("tiers", "plain"):
        gateway.admin.delete("prices/" + name)
    said = gateway.admin.post("price-import", {"csv": table}, expect=200).json()
    assert said["created"] == len(before) and prices() == before
    assert gateway.admin.call("GET", "prices?format=csv", expect=200).text == table
    bad = gateway.admin.call("POST", "price-import", {"csv": 'name,models,variants\r\na,m,"[{"\r\nb,m,"[{""from"":1}]"\r\n'}, expect=400)
    assert {f["path"] for f in bad.json()["errors"]} >= {"/csv/1/variants", "/csv/2/variants/0/from"}, bad.text


def test_what_a_person_gets_wrong_is_named(gateway):
    for body, path in [({"rates": {"input": 0.5}}, "/rates/input"), ({"rates": {"inptu": 1}}, "/rates/inptu"), ({"models": []}, "/models"),
                       ({"models": ["a*b"]}, "/models/0"), ({"provider": "a", "provider_type": "b"}, "/provider_type"),
                       ({"variants": [{"from": "08:00", "to": "08:00", "rates": {}}]}, "/variants/0/to"), ({"currency": "usd"}, "/currency")]:
        answer = gateway.admin.call("PUT", "prices/p", {"name": "p", "models": ["m"], **body}, expect=400)
        assert path in {f["path"] for f in answer.json()["errors"]}, (body, answer.text)


def test_requests_cost_what_the_prices_of_their_time_say(gateway, start_sim):
    openai_sim, deepseek_sim = start_sim("openai", models=["m-one"]), start_sim("deepseek", models=["m-two"])
    gateway.provider("vendor", openai_sim, type="openai-compatible")
    gateway.provider("other", deepseek_sim, type="openai-compatible")
    gateway.route("a", "m-one", ("vendor", None))
    gateway.route("b", "m-two", ("other", None))
    put(gateway, "dollars", provider="vendor", rates={"input": 1_000_000, "output": 2_000_000, "request": 5})
    put(gateway, "yuan", provider="other", currency="CNY", rates={"input": 10_000_000, "output": 0})
    gateway.wait_served()
    client = gateway.openai(gateway.key())
    plain = client.chat.completions.create(model="m-one", messages=QUESTION)
    streamed = list(client.chat.completions.create(model="m-one", messages=QUESTION, stream=True, stream_options={"include_usage": True}))[-1]
    yuan = client.chat.completions.create(model="m-two", messages=QUESTION)
    usd = sum(u.prompt_tokens + 2 * u.completion_tokens + 5 for u in (plain.usage, streamed.usage))
    gateway.usage(requests=3)
    page = gateway.admin.get("usage?group_by=consumer,model&consumer=" + gateway.consumer).json()
    by_model = {item["model"]: item for item in page["items"]}
    assert (by_model["m-one"]["cost"], by_model["m-one"]["currency"]) == (usd, "USD")
    assert (by_model["m-two"]["cost"], by_model["m-two"]["currency"]) == (10 * yuan.usage.prompt_tokens, "CNY")
    assert page["totals"]["cost"] is None and page["totals"]["unpriced"] == 0
    assert {c["currency"]: c["cost"] for c in page["totals"]["costs"]} == {"USD": usd, "CNY": 10 * yuan.usage.prompt_tokens}
    # a price that changes later changes nothing that was
    put(gateway, "dollars", provider="vendor", rates={"input": 9_000_000})
    gateway.wait_served()
    assert gateway.admin.get("usage?model=m-one&consumer=" + gateway.consumer).json()["totals"]["cost"] == usd
    table = gateway.admin.call("GET", "usage?group_by=model&consumer=" + gateway.consumer, headers={"Accept": "text/csv"}, expect=200)
    rows = {r["model"]: r for r in csv.DictReader(io.StringIO(table.text))}
    assert float(rows["m-one"]["cost_USD"]) * 1e6 == usd and rows["m-one"]["cost_CNY"] == "0"


def test_an_answer_that_breaks_off_costs_its_part(gateway, start_sim):
    openai_sim = start_sim("openai", models=["m-one"])
    gateway.provider("vendor", openai_sim, type="openai-compatible")
    gateway.route("a", "m-one", ("vendor", None))
    put(gateway, "dollars", rates={"input": 1_000_000, "output": 1_000_000})
    gateway.wait_served()
    openai_sim.fail("truncate", after_events=4)
    answer = gateway.client(gateway.key()).post("chat/completions", json={"model": "m-one", "messages": QUESTION, "stream": True})
    assert "error" in answer.text and "[DONE]" not in answer.text
    gateway.usage(requests=1)
    item = gateway.admin.get("usage?consumer=" + gateway.consumer).json()["totals"]
    assert item["estimated"] == 1 and item["cost"] == item["prompt_tokens"] + item["completion_tokens"] > 0
