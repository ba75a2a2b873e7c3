//! A call whose arguments are types of ours, encoded by their own codec rather than by the node's metadata.

use codec::Encode;
use subxt::ext::{
    scale_encode::{EncodeAsFields, Error, FieldIter},
    scale_type_resolver::TypeResolver,
};

/// A call of one of our pallets.
pub(crate) struct Call {
    pub(crate) pallet: &'static str,
    pub(crate) name: &'static str,
    arguments: Arguments,
}

impl Call {
    /// The call with these arguments, as a tuple in the order of the pallet's function.
    pub(crate) fn new(pallet: &'static str, name: &'static str, arguments: impl Encode) -> Self {
        Self {
            pallet,
            name,
            arguments: Arguments(arguments.encode()),
        }
    }
}

impl subxt::tx::Payload for Call {
    type CallData = Arguments;

    fn pallet_name(&self) -> &str {
        self.pallet
    }

    fn call_name(&self) -> &str {
        self.name
    }

    fn call_data(&self) -> &Arguments {
        &self.arguments
    }
}

/// Arguments that are encoded already. Whether the metadata agrees is asked once the call is whole.
pub(crate) struct Arguments(Vec<u8>);

impl EncodeAsFields for Arguments {
    fn encode_as_fields_to<R: TypeResolver>(
        &self,
        _fields: &mut dyn FieldIter<'_, R::TypeId>,
        _types: &R,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        out.extend_from_slice(&self.0);
        Ok(())
    }
}
