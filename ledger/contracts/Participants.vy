# pragma version 0.4.3
# pragma evm-version london
"""
@title Participants
@notice Which companies belong to a consortium, and which keys each of them held when.
@dev All that ever changed is kept as rows, one list for each DID, and a row that was
    written is never written again. A row says: from this block on, the subject is the
    value. The empty subject is membership, and its value the account that speaks for
    the DID, or zero for none; every other subject is a suite, and its value the
    fingerprint of the key that holds, or zero for none. A row of membership ends every
    key before it: an account that is admitted begins with none.

    Who decides about membership is settled when the contract is created: the members,
    by more than a share of their votes, or one operator. It is all that they decide.
    Keys are set and revoked by the account of their participant and by nobody else.
    An account speaks for one DID in its life, and is admitted once.

    There is no owner, no upgrade and no way to take anything back. No call is made to
    anybody, and no money is taken.

    `london` because any consortium genesis from London on runs it: no PUSH0.
"""


# A call returns at most so many rows.
PAGE: constant(uint256) = 32

# So many members at most are named when the contract is created; others are voted in.
FOUNDERS: constant(uint256) = 16


# Who alone decides about membership; zero where the members do.
OPERATOR: public(immutable(address))

# A vote is won by more than so many in a hundred of all members; 50 is a simple majority.
MAJORITY: public(immutable(uint256))


struct Founder:
    did: String[255]
    account: address


struct Row:
    at: uint256  # when, by the clock of the block's proposer, in seconds since 1970
    subject: bytes32  # a suite's name in ASCII, zeros after it; zero for membership
    value: bytes32  # a fingerprint, or an account as a number; zero for none


# State: all of it readable by everybody. A DID is known by the SHA-256 of its text.

# How many members there are.
members: public(uint256)

# How often the membership changed. Votes of an earlier round count no more.
round: public(uint256)

# The account that speaks for a DID; zero while it is no member.
account_of: public(HashMap[bytes32, address])

# The DID for which an account speaks or once spoke; zero before it is admitted.
did_of: public(HashMap[address, bytes32])

# The fingerprint that an account has set for a suite; zero while it has none.
key_of: public(HashMap[address, HashMap[bytes32, bytes32]])

# Whether a DID revoked a fingerprint, which it can then never set again.
revoked: public(HashMap[bytes32, HashMap[bytes32, bool]])

# How many rows there are for a DID, and the rows.
length_of: public(HashMap[bytes32, uint256])
_rows: HashMap[bytes32, HashMap[uint256, Row]]

# How many want an account for a DID: by round, DID, account. And who: by voter too.
tally: public(HashMap[uint256, HashMap[bytes32, HashMap[address, uint256]]])
ballot: public(HashMap[uint256, HashMap[bytes32, HashMap[address, HashMap[address, bool]]]])


event Voted:
    voter: indexed(address)
    did: indexed(bytes32)
    account: indexed(address)
    in_favour: bool


event Admitted:
    did: indexed(bytes32)
    account: indexed(address)
    text: String[255]


event Expelled:
    did: indexed(bytes32)
    account: indexed(address)


event KeySet:
    did: indexed(bytes32)
    suite: indexed(bytes32)
    fingerprint: indexed(bytes32)


event KeyRevoked:
    did: indexed(bytes32)
    suite: indexed(bytes32)
    fingerprint: indexed(bytes32)


@deploy
def __init__(founders: DynArray[Founder, FOUNDERS], operator: address, majority: uint256):
    """
    @notice Name the first members, and settle for good who decides about the others.
    @param founders The first members; at least one, unless there is an operator.
    @param operator Who alone is to decide; zero for the members.
    @param majority The share of members that a vote must exceed, in percent, from 50
        to 99; zero with an operator.
    """
    if operator == empty(address):
        assert majority >= 50 and majority < 100, "majority is not 50 to 99"
        assert len(founders) > 0, "nobody could vote"
    else:
        assert majority == 0, "an operator needs no majority"
    OPERATOR = operator
    MAJORITY = majority
    for founder: Founder in founders:
        self._appoint(founder.did, self._motion(founder.did, founder.account), founder.account)


@external
def vote(did: String[255], account: address, in_favour: bool):
    """
    @notice Vote that an account be the one that speaks for a DID, or take such a vote back.
    @dev The vote that makes the majority carries the change out, and ends the round.
        For a member that lost its account, another is voted for in its place.
    @param did The DID, as text.
    @param account The account to be admitted for it; zero to expel it.
    @param in_favour False takes the sender's own vote of this round back.
    """
    assert self._decides(msg.sender), "sender has no vote"
    name: bytes32 = self._motion(did, account)
    assert self.ballot[self.round][name][account][msg.sender] != in_favour, "vote changes nothing"

    self.ballot[self.round][name][account][msg.sender] = in_favour
    votes: uint256 = self.tally[self.round][name][account]
    votes = votes + 1 if in_favour else votes - 1
    self.tally[self.round][name][account] = votes
    log Voted(voter=msg.sender, did=name, account=account, in_favour=in_favour)
    if votes >= self._needed():
        self._appoint(did, name, account)


@external
def set_key(suite: bytes32, fingerprint: bytes32):
    """
    @notice Set the sender's key of a suite; the one before holds no more from here on.
    @param suite The suite's name in ASCII, zeros after it.
    @param fingerprint The fingerprint of the public key, never zero, never a revoked one.
    """
    did: bytes32 = self._member(msg.sender)
    assert suite != empty(bytes32), "suite is empty"
    assert fingerprint != empty(bytes32), "fingerprint is zero"
    assert fingerprint != self.key_of[msg.sender][suite], "key holds already"
    assert not self.revoked[did][fingerprint], "key was revoked"

    self.key_of[msg.sender][suite] = fingerprint
    self._record(did, suite, fingerprint)
    log KeySet(did=did, suite=suite, fingerprint=fingerprint)


@external
def revoke_key(suite: bytes32, fingerprint: bytes32):
    """
    @notice End the sender's key of a suite for good. What it signed before stays signed.
    @param suite The suite's name in ASCII, zeros after it.
    @param fingerprint The fingerprint of the key that holds.
    """
    did: bytes32 = self._member(msg.sender)
    assert fingerprint != empty(bytes32), "fingerprint is zero"
    assert fingerprint == self.key_of[msg.sender][suite], "key does not hold"

    self.key_of[msg.sender][suite] = empty(bytes32)
    self.revoked[did][fingerprint] = True
    self._record(did, suite, empty(bytes32))
    log KeyRevoked(did=did, suite=suite, fingerprint=fingerprint)


@external
@view
def history(did: bytes32, start: uint256) -> DynArray[Row, PAGE]:
    """
    @notice Read what changed for a DID, oldest first, a page at a time.
    @param did The SHA-256 of the DID.
    @param start How many rows to pass over.
    @return The rows from there on, `PAGE` at most; none where there are no more.
    """
    rows: DynArray[Row, PAGE] = []
    for i: uint256 in range(PAGE):
        if start + i >= self.length_of[did]:
            break
        rows.append(self._rows[did][start + i])
    return rows


@external
@view
def votes_needed() -> uint256:
    """
    @notice Say how many votes change the membership as it is now.
    @return One where an operator decides.
    """
    return self._needed()


@internal
@view
def _decides(sender: address) -> bool:
    """
    @notice Say whether a sender has a vote.
    @param sender Who asks to vote.
    @return Whether it is the operator, or a member where there is none.
    """
    if OPERATOR != empty(address):
        return sender == OPERATOR
    return self.account_of[self.did_of[sender]] == sender


@internal
@view
def _member(sender: address) -> bytes32:
    """
    @notice Return for whom a sender speaks, and refuse one that speaks for nobody.
    @param sender Who sets or revokes a key.
    @return The hash of its DID.
    """
    did: bytes32 = self.did_of[sender]
    assert self.account_of[did] == sender, "sender is no member"
    return did


@internal
@view
def _motion(did: String[255], account: address) -> bytes32:
    """
    @notice Refuse to admit or expel where nothing would change or nothing may.
    @param did The DID, as text.
    @param account The account that is to speak for it, or zero.
    @return The hash of the DID.
    """
    name: bytes32 = sha256(did)
    assert account != self.account_of[name], "membership is so already"
    assert self.did_of[account] == empty(bytes32), "account was admitted before"
    return name


@internal
@view
def _needed() -> uint256:
    """
    @notice Count the votes that a change of the membership needs.
    @return One for an operator; for members the least number above their share.
    """
    if OPERATOR != empty(address):
        return 1
    return self.members * MAJORITY // 100 + 1


@internal
def _appoint(did: String[255], name: bytes32, account: address):
    """
    @notice Make an account speak for a DID, or none, and end the round of votes.
    @param did The DID, as text.
    @param name The hash of the DID.
    @param account The account, or zero.
    """
    before: address = self.account_of[name]
    self.account_of[name] = account
    if before != empty(address):
        self.members -= 1
        log Expelled(did=name, account=before)
    if account != empty(address):
        self.members += 1
        self.did_of[account] = name
        log Admitted(did=name, account=account, text=did)
    self.round += 1
    self._record(name, empty(bytes32), convert(account, bytes32))


@internal
def _record(did: bytes32, subject: bytes32, held: bytes32):
    """
    @notice Add a row to what is known of a DID.
    @param did The hash of the DID.
    @param subject Empty for membership, else a suite.
    @param held What the subject is from here on; zero for nothing.
    """
    length: uint256 = self.length_of[did]
    self._rows[did][length] = Row(at=block.timestamp, subject=subject, value=held)
    self.length_of[did] = length + 1
