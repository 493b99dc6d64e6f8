"""What a user would write instead: an authenticated row read, without the rest.

FastAPI and SQLAlchemy, a signed token checked for each call, one row read by its
key, JSON back. No agreement, no policy, no receipt, no proof.
"""

from typing import Annotated, Any

import jwt
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi import FastAPI, Header, HTTPException


def plain_app(database: str, public: bytes) -> FastAPI:
    """Return the application.

    Args:
        database: SQLAlchemy URL with a table `projects`.
        public: Ed25519 key that callers' tokens are signed with, 32 bytes.
    """
    app = FastAPI()
    engine = sa.create_engine(database)
    key = Ed25519PublicKey.from_public_bytes(public)
    row = sa.text("SELECT stage, accepted FROM projects WHERE uscc = :uscc")

    @app.get("/projects/{uscc}")
    def read(uscc: str, authorization: Annotated[str, Header()]) -> Any:
        try:
            token = authorization.removeprefix("Bearer ")
            jwt.decode(token, key, algorithms=["EdDSA"], options={"verify_aud": False})
        except jwt.PyJWTError as error:
            raise HTTPException(401) from error
        with engine.connect() as connection:
            found = connection.execute(row, {"uscc": uscc}).one()
        return {
            "project_stage": found.stage,
            "expected_acceptance_date": found.accepted,
        }

    return app
