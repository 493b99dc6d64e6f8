# pragma version 0.4.3
# pragma evm-version london
"""
@title Anchors
@notice One row of checkpoint commitments per member, in order and for ever.
@dev Each member writes under its own address and under no other. An epoch is the
    last one plus one and names the commitment before it, so that a member can
    neither skip, repeat nor rewrite. A commitment is salted and opaque: the chain
    learns that a member was alive in an epoch, and nothing of how much it did.
    There is no owner, no upgrade and no way to take anything back.

    `london` because any consortium genesis from London on runs it: no PUSH0.
"""


# State: all of it readable by everybody.

# A member's newest epoch; 0 while it has none.
epoch_of: public(HashMap[address, uint256])

# What a member anchored for an epoch; zero where there is nothing.
commitment_of: public(HashMap[address, HashMap[uint256, bytes32]])

# When, by the clock of the block's proposer, in seconds since 1970.
anchored_at: public(HashMap[address, HashMap[uint256, uint256]])


event CheckpointAnchored:
    member: indexed(address)
    epoch: indexed(uint256)
    commitment: bytes32


@external
def anchor(epoch: uint256, commitment: bytes32, previous: bytes32):
    """
    @notice Anchor the sender's next checkpoint.
    @param epoch The sender's last epoch plus one; the first is 1.
    @param commitment Salted hash of the signed checkpoint, never zero.
    @param previous The sender's commitment before this one, zero at the first.
    """
    last: uint256 = self.epoch_of[msg.sender]
    assert epoch == last + 1, "epoch is not the next one"
    assert commitment != empty(bytes32), "commitment is zero"
    assert previous == self.commitment_of[msg.sender][last], "previous differs"

    self.epoch_of[msg.sender] = epoch
    self.commitment_of[msg.sender][epoch] = commitment
    self.anchored_at[msg.sender][epoch] = block.timestamp
    log CheckpointAnchored(member=msg.sender, epoch=epoch, commitment=commitment)
