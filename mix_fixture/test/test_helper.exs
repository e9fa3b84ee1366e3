unless Node.alive?(), do: raise("these tests need a node name: run check.sh")
{:ok, _supervisor} = Fixture.start()
ExUnit.start(assert_receive_timeout: 5000)
