def test_x(asking, shop):
    with asking() as client:
        r = client.post("/v1/recommend", json={"user": "1", "count": 3, "explain": True})
        print(r.json())
        print(client.get("/health/ready").json(), client.get("/v1/releases").json())
        from tests.recloop.server.conftest import ledger_of

        client.app.state.recorder.flush()
        print(
            ledger_of(shop, "select * from ledger.impression"),
            ledger_of(shop, "select user_id from behavior.account limit 5"),
            ledger_of(shop, "select item_id,name from behavior.item limit 5"),
            ledger_of(shop, "select attributes from behavior.item_version limit 5"),
        )
        print(client.get("/metrics").text)
